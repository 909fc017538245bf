# V = W_aligned - W_base is (out, in); an update is dW = B A with A (r, in) and B (out, r). 6 is float32, 7 is float64.
# base, aligned: some rows of both weights, in any floating-point type. They are worked on in blocks of rows that stay in the CPU's cache.
class Delta(Module):
  # V's rows in float32. Adds |V|_F^2 and |W_base|_F^2 of these rows to sums (2,), float64.
  def difference(self, base: Tensor, aligned: Tensor, sums: Tensor) -> Tensor:
    w = torch.to(base, 6)
    d = torch.to(aligned, 6) - w
    _ = torch.add_(sums, torch.stack([self.squares(d), self.squares(w)]))
    return d

  # |x|_F^2: a row's norm in float32, their sum in float64, because float32 sums of millions of squares drift.
  def squares(self, x: Tensor) -> Tensor:
    return torch.sum(torch.square(torch.to(torch.linalg_vector_norm(x, 2, [1]), 7)))

  # First pass of V (V^T B): adds B^T V of these rows to t (r, in). b: the same rows of B.
  def first(self, base: Tensor, aligned: Tensor, block: int, b: Tensor, t: Tensor, sums: Tensor) -> Tensor:
    rows = torch.size(base, 0)
    for k in range(torch.floordiv(rows + block - 1, block)):
      n = ops.prim.min(block, rows - k * block)
      d = self.difference(torch.narrow(base, 0, k * block, n), torch.narrow(aligned, 0, k * block, n), sums)
      _ = torch.addmm_(t, torch.t(torch.narrow(b, 0, k * block, n)), d)
    return t

  # Second pass: these rows of V (V^T B) = V t^T, into out (rows, r).
  def second(self, base: Tensor, aligned: Tensor, block: int, t: Tensor, out: Tensor) -> Tensor:
    rows = torch.size(base, 0)
    for k in range(torch.floordiv(rows + block - 1, block)):
      n = ops.prim.min(block, rows - k * block)
      d = torch.to(torch.narrow(aligned, 0, k * block, n), 6) - torch.to(torch.narrow(base, 0, k * block, n), 6)
      _ = torch.copy_(torch.narrow(out, 0, k * block, n), torch.mm(d, torch.t(t)))
    return out

  # Both passes at once where weights are stored (in, out): adds V (V^T B) as far as these rows of V^T go to out (out, r).
  def both(self, base: Tensor, aligned: Tensor, block: int, b: Tensor, out: Tensor, sums: Tensor) -> Tensor:
    rows = torch.size(base, 0)
    for k in range(torch.floordiv(rows + block - 1, block)):
      n = ops.prim.min(block, rows - k * block)
      d = self.difference(torch.narrow(base, 0, k * block, n), torch.narrow(aligned, 0, k * block, n), sums)
      _ = torch.addmm_(out, torch.t(d), torch.mm(d, b))
    return out

  # (V V^T) B into out (out, r): V's Gram matrix first
  def vvt(self, v: Tensor, b: Tensor, out: Tensor) -> Tensor:
    return torch.addmm_(out, torch.mm(v, torch.t(v)), b)

  # These rows of V into v, which has the shape of the rows.
  def dense(self, base: Tensor, aligned: Tensor, block: int, v: Tensor, sums: Tensor) -> Tensor:
    rows = torch.size(base, 0)
    for k in range(torch.floordiv(rows + block - 1, block)):
      n = ops.prim.min(block, rows - k * block)
      d = self.difference(torch.narrow(base, 0, k * block, n), torch.narrow(aligned, 0, k * block, n), sums)
      _ = torch.copy_(torch.narrow(v, 0, k * block, n), d)
    return v

  # A view: rows [row, row + n) of x
  def rows(self, x: Tensor, row: int, n: int) -> Tensor:
    return torch.narrow(x, 0, row, n)

  def zeros(self, like: Tensor, shape: List[int], dtype: int) -> Tensor:
    return torch.new_zeros(like, shape, dtype=dtype)

  # Weights stored (in, out): the same memory, seen as (out, in).
  def transposed(self, v: Tensor) -> Tensor:
    return torch.t(v)

  # The smaller of V V^T and V^T V, float64.
  def gram(self, v: Tensor) -> Tensor:
    w = torch.to(v, 7)
    if torch.size(w, 0) > torch.size(w, 1):
      g = torch.mm(torch.t(w), w)
    else:
      g = torch.mm(w, torch.t(w))
    return g

  # g's Cholesky factor, and 0 if it has one
  def cholesky(self, g: Tensor) -> Tuple[Tensor, Tensor]:
    l, info = torch.linalg_cholesky_ex(g)
    return (l, info)

  # A step of the power iteration (Golub and Van Loan, 8.2.1): g x, and its norm, which tends to the largest eigenvalue; x (n, 1) of norm 1
  def power(self, g: Tensor, x: Tensor) -> Tuple[Tensor, Tensor]:
    y = torch.mm(g, x)
    norm = torch.linalg_vector_norm(y)
    return (y / norm, norm)

  # The same for the inverse of l l^T: the norm tends to the reciprocal of the smallest eigenvalue
  def inverse_power(self, l: Tensor, x: Tensor) -> Tuple[Tensor, Tensor]:
    y = torch.cholesky_solve(x, l)
    norm = torch.linalg_vector_norm(y)
    return (y / norm, norm)

  # V (V^T V)^-1 V^T B of a tall V of full rank; l is the Cholesky factor of V^T V
  def tall(self, v: Tensor, l: Tensor, b: Tensor) -> Tensor:
    w = torch.to(v, 7)
    return torch.to(torch.mm(w, torch.cholesky_solve(torch.mm(torch.t(w), torch.to(b, 7)), l)), 6)

  # Eigenvalues, ascending, and eigenvectors of gram: V's singular values squared and its left (tall V: right) singular vectors.
  def eigen(self, g: Tensor) -> Tuple[Tensor, Tensor]:
    return torch.linalg_eigh(g)

  # U_k U_k^T B, U_k the left singular vectors of the k largest singular values; values and vectors from eigen.
  def onto(self, v: Tensor, values: Tensor, vectors: Tensor, k: int, b: Tensor) -> Tensor:
    u = self.left(v, values, vectors, k)
    return torch.to(torch.mm(u, torch.mm(torch.t(u), torch.to(b, 7))), 6)

  # U_k (out, k), float64
  def left(self, v: Tensor, values: Tensor, vectors: Tensor, k: int) -> Tensor:
    first = torch.size(values, 0) - k
    u = torch.narrow(vectors, 1, first, k)
    if torch.size(v, 0) > torch.size(v, 1):
      # These are right singular vectors: U = V q / sigma.
      u = torch.mm(torch.to(v, 7), u) / torch.sqrt(torch.narrow(values, 0, first, k))
    return u

  # An orthonormal basis of the range of V x, and of V^T x: the steps of a subspace iteration
  def ranged(self, v: Tensor, x: Tensor) -> Tensor:
    return self.orthonormal(torch.mm(v, x))

  def corange(self, v: Tensor, x: Tensor) -> Tensor:
    return self.orthonormal(torch.mm(torch.t(v), x))

  # The k largest singular triplets of V in the range of q (out, k or more) (Halko, Martinsson, Tropp 2011, algorithm 5.1):
  # U sqrt(S) (out, k), sqrt(S) V^T (k, in), S (k,)
  def triplets(self, v: Tensor, q: Tensor, k: int) -> Tuple[Tensor, Tensor, Tensor]:
    u, s, vh = torch.linalg_svd(torch.mm(torch.t(q), v), False)
    root = torch.sqrt(torch.narrow(s, 0, 0, k))
    left = torch.mm(q, torch.narrow(u, 1, 0, k)) * root
    right = torch.narrow(vh, 0, 0, k) * torch.unsqueeze(root, 1)
    return (torch.contiguous(left), torch.contiguous(right), torch.narrow(s, 0, 0, k))

  # An orthonormal basis of the columns of x
  def orthonormal(self, x: Tensor) -> Tensor:
    q, _ = torch.linalg_qr(x)
    return q

  # The largest Ritz value of V V^T on the orthonormal x (out, n), given y = V V^T x; it never exceeds |V|_2^2
  def ritz(self, x: Tensor, y: Tensor) -> Tensor:
    h = torch.to(torch.mm(torch.t(x), y), 7)
    return torch.narrow(torch.linalg_eigvalsh((h + torch.t(h)) / 2), 0, torch.size(h, 0) - 1, 1)

  # <X A, Y A>_F = tr((X^T Y)(A A^T)) for (X, Y) = (B', B), (B', B'), (B, B), (B' - B, B' - B): r x r matrices only
  def products(self, a: Tensor, b: Tensor, projected: Tensor) -> Tensor:
    x = torch.to(a, 7)
    y = torch.to(b, 7)
    z = torch.to(projected, 7)
    aa = torch.mm(x, torch.t(x))
    return torch.stack([self.inner(z, y, aa), self.inner(z, z, aa), self.inner(y, y, aa), self.inner(z - y, z - y, aa)])

  def inner(self, x: Tensor, y: Tensor, aa: Tensor) -> Tensor:
    return torch.sum(torch.mm(torch.t(x), y) * aa)

  # The same of dense updates dW and C dW (out, in), some rows at a time: (4,), float64
  def dense_products(self, d: Tensor, projected: Tensor) -> Tensor:
    rows = torch.size(d, 0)
    sums = torch.new_zeros(d, [4], dtype=7)
    for k in range(torch.floordiv(rows + 255, 256)):
      n = ops.prim.min(256, rows - k * 256)
      y = torch.to(torch.narrow(d, 0, k * 256, n), 7)
      z = torch.to(torch.narrow(projected, 0, k * 256, n), 7)
      _ = torch.add_(sums, torch.stack([torch.sum(z * y), torch.sum(z * z), torch.sum(y * y), torch.sum(torch.square(z - y))]))
    return sums

  # d := x d + y p, dense updates (out, in)
  def mix(self, d: Tensor, x: float, p: Tensor, y: float) -> Tensor:
    return torch.add_(torch.mul_(d, x), p, alpha=y)

  def product(self, b: Tensor, a: Tensor) -> Tensor:
    return torch.mm(b, a)

  # Some rows of W' = W_aligned + update, in the type dtype
  def updated(self, aligned: Tensor, update: Tensor, dtype: int) -> Tensor:
    return torch.to(torch.add(aligned, update), dtype)
