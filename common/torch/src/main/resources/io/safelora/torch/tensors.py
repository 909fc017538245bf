class Tensors(Module):
  # TorchScript does not see aten::view.dtype; an empty tensor of the wanted type that is set onto the storage is the same view.
  # scale: how many elements of x one of the result's takes
  def reinterpret(self, x: Tensor, dtype: int, scale: int, shape: List[int]) -> Tensor:
    empty = torch.empty([0], dtype=dtype, device=ops.prim.device(x))
    return torch.view(torch.set_(empty, x, torch.floordiv(torch.storage_offset(x), scale), [torch.floordiv(torch.numel(x), scale)], [1]), shape)

  def bytes(self, x: Tensor) -> Tensor:
    c = torch.contiguous(torch.detach(x))
    size = torch.element_size(c)
    return torch.set_(torch.empty([0], dtype=1, device=ops.prim.device(x)), c, torch.storage_offset(c) * size, [torch.numel(c) * size], [1])

  def to(self, x: Tensor, dtype: int) -> Tensor:
    return torch.contiguous(torch.to(torch.detach(x), dtype))

  def clone(self, x: Tensor) -> Tensor:
    return torch.clone(torch.detach(x))

  def copy(self, into: Tensor, x: Tensor) -> Tensor:
    return torch.copy_(into, x)
