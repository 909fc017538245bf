class AdamW(Module):
  # One step of Adam (Kingma & Ba 2015, algorithm 1) on p by its gradients g, which are scaled down to the global norm max_norm
  # first and zeroed in the end. m, v: running means of g and g^2; c1, c2: 1 - beta1^t, 1 - beta2^t. Betas 0.9 and 0.999.
  def step(self, p: List[Tensor], g: List[Tensor], m: List[Tensor], v: List[Tensor], lr: float, c1: float, c2: float, max_norm: float) -> Tensor:
    norm = torch.linalg_vector_norm(torch.stack(torch._foreach_norm(g, 2)))
    torch._foreach_mul_(g, torch.clamp(torch.reciprocal(norm + 9.9999999999999995e-07) * max_norm, None, 1.))
    torch._foreach_lerp_(m, g, 0.1)
    torch._foreach_mul_(v, 0.999)
    torch._foreach_addcmul_(v, g, g, 0.001)
    d = torch._foreach_div(v, c2)
    torch._foreach_sqrt_(d)
    torch._foreach_add_(d, 1e-08)
    torch._foreach_addcdiv_(p, m, d, torch.div(-lr, c1))
    torch._foreach_zero_(g)
    return norm
