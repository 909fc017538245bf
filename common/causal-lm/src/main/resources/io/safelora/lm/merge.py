class Merge(Module):
  # W + s B A in float32, rounded once to W's type. w (out, in), or (in, out) if transposed; a (r, in); b (out, r)
  def merge(self, w: Tensor, a: Tensor, b: Tensor, s: float, transposed: bool) -> Tensor:
    update = torch.matmul(b, a) * s
    return torch.type_as(torch.to(w, 6) + (torch.t(update) if transposed else update), w)
