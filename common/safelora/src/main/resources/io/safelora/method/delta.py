# V = W_aligned - W_base is (out, in); an update is dW = B A with A (r, in) and B (out, r). 6 is float32, 7 is float64.
class Delta(Module):
  # Some rows of both weights. Writes V's rows into v from row on, unless v is empty.
  # Returns |V|^2, |W_base|^2, |W_aligned|^2 and the number of equal elements, of these rows, in float64.
  def rows(self, v: Tensor, row: int, base: Tensor, aligned: Tensor) -> Tensor:
    w = torch.to(base, 6)
    a = torch.to(aligned, 6)
    d = a - w
    if torch.numel(v) != 0:
      torch.copy_(torch.narrow(v, 0, row, torch.size(d, 0)), d)
    return torch.stack([self.squares(d), self.squares(w), self.squares(a), torch.to(torch.sum(torch.eq(d, 0)), 7)])

  # |x|_F^2: a row's norm in float32, their sum in float64, because float32 sums of millions of squares drift.
  def squares(self, x: Tensor) -> Tensor:
    return torch.sum(torch.square(torch.to(torch.linalg_vector_norm(x, 2, [1]), 7)))

  # Weights stored (in, out): the same memory, seen as (out, in).
  def transposed(self, v: Tensor) -> Tensor:
    return torch.t(v)

  # V (V^T B) / |V|_F
  def approximate(self, v: Tensor, b: Tensor, norm: float) -> Tensor:
    return torch.mm(v, torch.mm(torch.t(v), b)) / norm

  # Eigenvalues, ascending, and eigenvectors of the smaller of V V^T and V^T V: V's singular values squared and its
  # left (right) singular vectors.
  def eigen(self, v: Tensor) -> Tuple[Tensor, Tensor]:
    w = torch.to(v, 7)
    if torch.size(w, 0) > torch.size(w, 1):
      values, vectors = torch.linalg_eigh(torch.mm(torch.t(w), w))
    else:
      values, vectors = torch.linalg_eigh(torch.mm(w, torch.t(w)))
    return (values, vectors)

  # U_k U_k^T B, U_k the left singular vectors of the k largest singular values; values and vectors from eigen.
  def onto(self, v: Tensor, values: Tensor, vectors: Tensor, k: int, b: Tensor) -> Tensor:
    first = torch.size(values, 0) - k
    q = torch.narrow(vectors, 1, first, k)
    x = torch.to(b, 7)
    if torch.size(v, 0) > torch.size(v, 1):
      # q are right singular vectors: U = V q / sigma.
      w = torch.to(v, 7)
      y = torch.mm(torch.t(q), torch.mm(torch.t(w), x)) / torch.unsqueeze(torch.narrow(values, 0, first, k), 1)
      return torch.to(torch.mm(w, torch.mm(q, y)), 6)
    return torch.to(torch.mm(q, torch.mm(torch.t(q), x)), 6)

  # <X A, Y A>_F = tr((X^T Y)(A A^T)) for (X, Y) = (B', B), (B', B'), (B, B), (B' - B, B' - B): r x r matrices only
  def products(self, a: Tensor, b: Tensor, projected: Tensor) -> Tensor:
    x = torch.to(a, 7)
    y = torch.to(b, 7)
    z = torch.to(projected, 7)
    aa = torch.mm(x, torch.t(x))
    return torch.stack([self.inner(z, y, aa), self.inner(z, z, aa), self.inner(y, y, aa), self.inner(z - y, z - y, aa)])

  def inner(self, x: Tensor, y: Tensor, aa: Tensor) -> Tensor:
    return torch.sum(torch.mm(torch.t(x), y) * aa)
