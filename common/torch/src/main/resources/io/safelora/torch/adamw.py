class AdamW(Module):
  # One step of AdamW (Loshchilov & Hutter 2019, algorithm 2, the decay scaled by the learning rate as PyTorch does) on the parameters p, of
  # which those of decayed decay, by their gradients g. g is scaled down to the global norm max_norm first and zeroed in the end. m, v: running means of g and g^2;
  # c1, c2: 1 - beta1^t, 1 - beta2^t. The result is the norm before scaling.
  def step(self, p: List[Tensor], decayed: List[Tensor], g: List[Tensor], m: List[Tensor], v: List[Tensor], lr: float, c1: float, c2: float, decay: float, max_norm: float) -> Tensor:
    norm = torch.linalg_vector_norm(torch.stack(torch._foreach_norm(g, 2)))
    torch._foreach_mul_(g, torch.clamp(torch.reciprocal(norm + 9.9999999999999995e-07) * max_norm, None, 1.))
    if torch.len(decayed) > 0:
      torch._foreach_mul_(decayed, 1. - lr * decay)
    torch._foreach_lerp_(m, g, 0.1)
    torch._foreach_mul_(v, 0.999)
    torch._foreach_addcmul_(v, g, g, 0.001)
    d = torch._foreach_sqrt(v)
    torch._foreach_div_(d, torch.sqrt(c2))
    torch._foreach_add_(d, 1e-08)
    torch._foreach_addcdiv_(p, m, d, torch.div(-lr, c1))
    torch._foreach_zero_(g)
    return norm
