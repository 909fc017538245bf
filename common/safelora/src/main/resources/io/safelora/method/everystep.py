class EveryStep(Module):
  # B := U U^T B in place; u (out, k) orthonormal, b (out, r)
  def project(self, u: Tensor, b: Tensor) -> Tensor:
    return torch.copy_(b, torch.mm(u, torch.mm(torch.t(u), b)))
