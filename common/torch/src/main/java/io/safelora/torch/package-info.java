/**
 * PyTorch through DJL: {@link io.safelora.torch.TorchScript} compiles kernels that are kept as text
 * (docs/decisions/0002) and calls their methods, {@link io.safelora.torch.Tensors} moves tensors from and to Java
 * memory, {@link io.safelora.torch.AdamW} is the optimizer, {@link io.safelora.torch.Torch} the engine itself. A tensor
 * is freed with the manager that it was made with.
 */
package io.safelora.torch;
