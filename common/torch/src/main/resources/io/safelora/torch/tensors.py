class Tensors(Module):
  def reinterpret(self, bytes: Tensor, dtype: int, shape: List[int]) -> Tensor:
    return torch.view(torch.view(bytes, dtype=dtype), shape)

  def bytes(self, x: Tensor) -> Tensor:
    return torch.view(torch.reshape(torch.contiguous(x), [-1]), dtype=1)

  def to(self, x: Tensor, dtype: int) -> Tensor:
    return torch.contiguous(torch.to(torch.detach(x), dtype))

  def clone(self, x: Tensor) -> Tensor:
    return torch.clone(torch.detach(x))

  def copy(self, into: Tensor, x: Tensor) -> Tensor:
    return torch.copy_(into, x)
