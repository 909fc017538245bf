# V = W_aligned - W_base is (rows, columns) as stored. 2 is int16, 3 is int32, 6 is float32, 7 is float64.
class Analysis(Module):
  def empty(self, rows: int, columns: int, dtype: int) -> Tensor:
    return torch.empty([rows, columns], dtype=dtype)

  # Some rows of both weights; writes V's into v from row on. Everything happens in place, in scratch that stays in the core's cache: x, y
  # are float32, z is of coarse's integers. coarse is the type in which elements are compared.
  # Returns, in float64, of these rows: |V|^2, |W_base|^2, elements that differ, elements that are one unit in the last place apart;
  # then, of one row in every, by the 256 exponents of W_base's elements: how many there are, and |V|^2 of them.
  def rows(self, v: Tensor, row: int, x: Tensor, y: Tensor, z: Tensor, base: Tensor, aligned: Tensor, coarse: int, every: int) -> Tensor:
    n = torch.size(base, 0)
    w = torch.copy_(torch.narrow(x, 0, 0, n), base)
    d = torch.sub_(torch.copy_(torch.narrow(y, 0, 0, n), aligned), w)
    torch.copy_(torch.narrow(v, 0, row, n), d)
    squares = torch.stack([self.squares(d), self.squares(w)])
    one = torch.copy_(torch.narrow(z, 0, 0, n), self.bits(torch.to(aligned, coarse)))
    one = torch.sub_(one, self.bits(torch.to(base, coarse)))
    differ = torch.count_nonzero(one)
    far = torch.count_nonzero(torch.sub_(torch.abs_(one), 1))
    counts = torch.to(torch.stack([differ, torch.numel(base) - far]), 7)
    exponents = torch.flatten(torch.bitwise_and(torch.bitwise_right_shift(self.bits(torch.slice(w, 0, 0, n, every)), 23), 255))
    energies = torch.flatten(torch.square(torch.slice(d, 0, 0, n, every)))
    elements = torch.to(torch.bincount(exponents, None, 256), 7)
    return torch.cat([squares, counts, elements, torch.bincount(exponents, torch.to(energies, 7), 256)])

  # |x|_F^2: a row's norm in float32, their sum in float64, because float32 sums of millions of squares drift.
  def squares(self, x: Tensor) -> Tensor:
    return torch.sum(torch.square(torch.to(torch.linalg_vector_norm(x, 2, [1], False, dtype=6), 7)))

  # The same memory as integers. view(dtype) is barred from TorchScript, which cannot tell a type from a number.
  def bits(self, x: Tensor) -> Tensor:
    if torch.element_size(x) == 2:
      view = torch.new_empty(x, [0], dtype=2)
    else:
      view = torch.new_empty(x, [0], dtype=3)
    return view.set_(x)

  # The l largest singular values of V as Rayleigh-Ritz gives them on P, the range of V^T (V V^T)^powers V omega (Halko, Martinsson
  # and Tropp 2011, algorithm 4.4), and what tests say of the rest E = V (I - P P^T).
  # v: (m, n). omega: (n, l + r), of which the last r columns test and never guide. f = |V|_F. Orthonormal bases are made in
  # the type exact, and of directions that hold more than the share least.
  # Returns, in float64, the l squared values, ascending, then max over the test vectors of |E omega|, |E E^T E omega| / f^2 and
  # |E E^T E E^T E omega| / f^4.
  def spectrum(self, v: Tensor, omega: Tensor, l: int, powers: int, f: float, exact: int, least: float) -> Tensor:
    r = torch.size(omega, 1) - l
    y = torch.to(torch.mm(v, omega), exact)
    u = torch.narrow(y, 1, 0, l)
    p = self.other(v, u, exact, least)
    u = torch.to(torch.mm(v, p), exact)
    for i in range(powers):
      p = self.other(v, u, exact, least)
      u = torch.to(torch.mm(v, p), exact)
    values = torch.linalg_eigvalsh(torch.to(torch.mm(torch.t(u), u), 7))
    q = torch.to(p, exact)
    s = torch.narrow(y, 1, l, r) - torch.mm(u, torch.mm(torch.t(q), torch.to(torch.narrow(omega, 1, l, r), exact)))
    first = self.longest(s)
    s = self.beyond(v, q, s, f, exact)
    second = self.longest(s)
    s = self.beyond(v, q, s, f, exact)
    return torch.cat([values, torch.stack([first, second, self.longest(s)])])

  # An orthonormal basis of the range of V^T u, in v's type.
  def other(self, v: Tensor, u: Tensor, exact: int, least: float) -> Tensor:
    q = torch.to(self.basis(u, least), v)
    return torch.to(self.basis(torch.to(torch.mm(torch.t(v), q), exact), least), v)

  # x (rows, l) times the inverse root of its Gram matrix; directions that rounding alone made become zero.
  def basis(self, x: Tensor, least: float) -> Tensor:
    values, vectors = torch.linalg_eigh(torch.to(torch.mm(torch.t(x), x), 7))
    cut = torch.max(values) * least
    keep = torch.to(torch.gt(values, cut), 7)
    return torch.mm(x, torch.to(vectors * (keep * torch.rsqrt(torch.maximum(values, cut))), x))

  # E E^T s / f^2
  def beyond(self, v: Tensor, q: Tensor, s: Tensor, f: float, exact: int) -> Tensor:
    z = torch.to(torch.mm(torch.t(v), torch.to(s / f, v)), exact)
    z = z - torch.mm(q, torch.mm(torch.t(q), z))
    return torch.to(torch.mm(v, torch.to(z / f, v)), exact)

  def longest(self, x: Tensor) -> Tensor:
    return torch.to(torch.max(torch.linalg_vector_norm(x, 2, [0])), 7)
