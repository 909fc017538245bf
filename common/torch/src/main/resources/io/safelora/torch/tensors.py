class Tensors(Module):
  # view(dtype) is barred from TorchScript, which cannot tell a type from a number; set_ shares the memory all the same.
  def reinterpret(self, bytes: Tensor, dtype: int, shape: List[int], elements: int) -> Tensor:
    empty = torch.new_empty(bytes, [0], dtype=dtype)
    return torch.view(empty.set_(torch.narrow(bytes, 0, 0, elements)), shape)

  def bytes(self, x: Tensor) -> Tensor:
    y = torch.clone(torch.detach(x), memory_format=0)
    empty = torch.new_empty(y, [0], dtype=1)
    return torch.as_strided(empty.set_(torch.reshape(y, [-1])), [torch.numel(y) * torch.element_size(y)], [1])

  def to(self, x: Tensor, dtype: int) -> Tensor:
    return torch.contiguous(torch.to(torch.detach(x), dtype))

  def clone(self, x: Tensor) -> Tensor:
    return torch.clone(torch.detach(x))

  def copy(self, into: Tensor, x: Tensor) -> Tensor:
    return torch.copy_(into, x)

  def type_as(self, x: Tensor, like: Tensor) -> Tensor:
    return torch.contiguous(torch.type_as(torch.detach(x), like))

  def finite(self, x: Tensor) -> Tensor:
    return torch.all(torch.isfinite(x))
