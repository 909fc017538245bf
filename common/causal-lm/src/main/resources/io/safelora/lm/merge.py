class Merge(Module):
  # W + s B A in float32 (out, in); with one magnitude (out,), DoRA's, its rows scaled to these norms. w as it is stored: (out, in), or transposed (in, out),
  # as embeddings are, too; a (r, in); b (out, r)
  def merge(self, w: Tensor, a: Tensor, b: Tensor, s: float, transposed: bool, magnitude: List[Tensor]) -> Tensor:
    v = torch.to(torch.t(w) if transposed else w, 6) + torch.matmul(b, a) * s
    if torch.len(magnitude) > 0:
      v = v * torch.unsqueeze(magnitude[0] / torch.linalg_vector_norm(v, 2, [1]), 1)
    return torch.t(v) if transposed else v

  # w with other rows (n, columns) at ids (n,)
  def rows(self, w: Tensor, ids: Tensor, rows: Tensor) -> Tensor:
    return torch.index_copy(torch.to(w, 6), 0, ids, rows)

  # bias + s B's bias, (out,)
  def bias(self, bias: Tensor, b: Tensor, s: float) -> Tensor:
    return torch.to(bias, 6) + b * s
