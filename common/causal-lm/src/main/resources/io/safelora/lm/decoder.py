# The decoder-only transformer of Llama (Touvron et al. 2023), as TorchScript. Sequences lie one after another without padding:
# "tokens" is the sum of their lengths. Linear layers run over all tokens at once, attention runs sequence by sequence.
#   w: the weights: embedding, nine per layer (see layer), final norm, head       all in one type, float32 or bfloat16
#   a, b, s: LoRA, seven per layer (q, k, v, o, gate, up, down): A (r, in), B (out, r), scale; A is empty where a module has none
#   dims: layers, heads, key-value heads, head_dim
#   lens: new tokens per sequence      past: tokens per sequence that are in its cache already
#   caches: none, or one per sequence (layers, 2, kv_heads, capacity, head_dim)
class Decoder(Module):
  # y = W x + s B A x (Hu et al. 2021, arXiv 2106.09685, section 4.1); dropout acts on the adapter's input only, as in PEFT
  def linear(self, x: Tensor, w: Tensor, a: Tensor, b: Tensor, s: float, dropout: float) -> Tensor:
    y = torch.linear(x, w)                                                       # (tokens, out)
    if torch.numel(a) != 0:
      u = torch.dropout(torch.type_as(x, a), dropout, dropout > 0.)
      y = torch.type_as(y + torch.linear(torch.linear(u, a), b) * s, y)
    return y

  # (tokens, heads, head_dim) turned by the angles of their positions (Su et al. 2021), halves paired as Hugging Face does
  def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = torch.floordiv(torch.size(x, -1), 2)
    turned = torch.cat([-torch.narrow(x, -1, half, half), torch.narrow(x, -1, 0, half)], -1)
    return x * cos + turned * sin

  # softmax(q k^T / sqrt(head_dim)) v of one sequence, each token looking at itself and what came before
  # q (new, heads, head_dim); k, v (kv_heads, past + new, head_dim); out (new, heads * head_dim)
  def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    new = torch.size(q, 0)
    heads = torch.size(q, 1)
    kv_heads = torch.size(k, 0)
    total = torch.size(k, 1)
    group = torch.floordiv(heads, kv_heads)
    if new == 1:
      # One token sees everything: the heads of a group become the queries of their key-value head, and nothing is copied.
      y = torch.scaled_dot_product_attention(torch.view(q, [1, kv_heads, group, -1]), torch.unsqueeze(k, 0), torch.unsqueeze(v, 0))
      y = torch.reshape(y, [1, -1])
    else:
      if group > 1:
        k = torch.reshape(torch.expand(torch.unsqueeze(k, 1), [-1, group, -1, -1]), [heads, total, -1])
        v = torch.reshape(torch.expand(torch.unsqueeze(v, 1), [-1, group, -1, -1]), [heads, total, -1])
      qh = torch.unsqueeze(torch.transpose(q, 0, 1), 0)                           # (1, heads, new, head_dim)
      if new == total:
        y = torch.scaled_dot_product_attention(qh, torch.unsqueeze(k, 0), torch.unsqueeze(v, 0), None, 0., True)
      else:
        mask = torch.tril(torch.ones([new, total], dtype=11, device=ops.prim.device(q)), total - new)
        y = torch.scaled_dot_product_attention(qh, torch.unsqueeze(k, 0), torch.unsqueeze(v, 0), mask)
      y = torch.reshape(torch.transpose(torch.squeeze(y, 0), 0, 1), [new, -1])
    return y

  def layer(self, i: int, x: Tensor, cos: Tensor, sin: Tensor, w: List[Tensor], a: List[Tensor], b: List[Tensor], s: List[float],
            dims: List[int], eps: float, dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    input_norm, wq, wk, wv, wo, post_norm, gate, up, down = w[9 * i + 1], w[9 * i + 2], w[9 * i + 3], w[9 * i + 4], w[9 * i + 5], w[9 * i + 6], w[9 * i + 7], w[9 * i + 8], w[9 * i + 9]
    j = 7 * i
    hidden = torch.size(x, -1)
    h = torch.rms_norm(x, [hidden], input_norm, eps)                              # (tokens, hidden)
    q = torch.view(self.linear(h, wq, a[j], b[j], s[j], dropout), [-1, dims[1], dims[3]])
    k = torch.view(self.linear(h, wk, a[j + 1], b[j + 1], s[j + 1], dropout), [-1, dims[2], dims[3]])
    v = torch.view(self.linear(h, wv, a[j + 2], b[j + 2], s[j + 2], dropout), [-1, dims[2], dims[3]])
    q = self.rotate(q, cos, sin)
    k = self.rotate(k, cos, sin)
    attended = annotate(List[Tensor], [])
    begin = 0
    for n in range(torch.len(lens)):
      new = lens[n]
      kn = torch.transpose(torch.narrow(k, 0, begin, new), 0, 1)                  # (kv_heads, new, head_dim)
      vn = torch.transpose(torch.narrow(v, 0, begin, new), 0, 1)
      if torch.len(caches) > 0:
        cache = torch.select(caches[n], 0, i)
        before = past[n]
        torch.copy_(torch.narrow(torch.select(cache, 0, 0), 1, before, new), kn)
        torch.copy_(torch.narrow(torch.select(cache, 0, 1), 1, before, new), vn)
        kn = torch.narrow(torch.select(cache, 0, 0), 1, 0, before + new)
        vn = torch.narrow(torch.select(cache, 0, 1), 1, 0, before + new)
      _ = torch.append(attended, self.attend(torch.narrow(q, 0, begin, new), kn, vn))
      begin = begin + new
    x = x + self.linear(torch.cat(attended, 0), wo, a[j + 3], b[j + 3], s[j + 3], dropout)
    h = torch.rms_norm(x, [hidden], post_norm, eps)
    h = torch.silu(self.linear(h, gate, a[j + 4], b[j + 4], s[j + 4], dropout)) * self.linear(h, up, a[j + 5], b[j + 5], s[j + 5], dropout)
    return x + self.linear(h, down, a[j + 6], b[j + 6], s[j + 6], dropout)

  # The last layer's output after the final norm (tokens, hidden). ids, positions (tokens,) int64
  def hidden(self, ids: Tensor, positions: Tensor, inv_freq: Tensor, w: List[Tensor], a: List[Tensor], b: List[Tensor], s: List[float],
             dims: List[int], eps: float, dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    x = torch.embedding(w[0], ids)
    angles = torch.unsqueeze(torch.type_as(positions, inv_freq), 1) * torch.unsqueeze(inv_freq, 0)
    angles = torch.unsqueeze(torch.cat([angles, angles], -1), 1)                  # (tokens, 1, head_dim), float32
    cos = torch.type_as(torch.cos(angles), x)
    sin = torch.type_as(torch.sin(angles), x)
    for i in range(dims[0]):
      x = self.layer(i, x, cos, sin, w, a, b, s, dims, eps, dropout, lens, past, caches)
    return torch.rms_norm(x, [torch.size(x, -1)], w[torch.len(w) - 2], eps)

  # Logits (rows, vocab) in float32 of some tokens. rows (rows,) int64
  def logits(self, rows: Tensor, ids: Tensor, positions: Tensor, inv_freq: Tensor, w: List[Tensor], a: List[Tensor], b: List[Tensor], s: List[float],
             dims: List[int], eps: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    h = self.hidden(ids, positions, inv_freq, w, a, b, s, dims, eps, 0., lens, past, caches)
    return torch.to(torch.linear(torch.index_select(h, 0, rows), w[torch.len(w) - 1]), 6)

  # The likeliest next token (rows,) after some tokens
  def next(self, rows: Tensor, ids: Tensor, positions: Tensor, inv_freq: Tensor, w: List[Tensor], a: List[Tensor], b: List[Tensor], s: List[float],
           dims: List[int], eps: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    return torch.argmax(self.logits(rows, ids, positions, inv_freq, w, a, b, s, dims, eps, lens, past, caches), -1)

  # The sum of -log p(labels[k] | everything up to token rows[k]), a scalar in float32
  def loss(self, rows: Tensor, labels: Tensor, ids: Tensor, positions: Tensor, inv_freq: Tensor, w: List[Tensor], a: List[Tensor], b: List[Tensor], s: List[float],
           dims: List[int], eps: float, dropout: float, lens: List[int]) -> Tensor:
    h = self.hidden(ids, positions, inv_freq, w, a, b, s, dims, eps, dropout, lens, annotate(List[int], []), annotate(List[Tensor], []))
    logits = torch.to(torch.linear(torch.index_select(h, 0, rows), w[torch.len(w) - 1]), 6)
    return torch.cross_entropy_loss(logits, labels, None, 2, -100, 0.)

  # log p(ids[t] | ids[<t]) for t >= 1 of one sequence (tokens - 1,), float64; logits never stand for more than 256 tokens at once
  def logprobs(self, ids: Tensor, positions: Tensor, inv_freq: Tensor, w: List[Tensor], a: List[Tensor], b: List[Tensor], s: List[float],
               dims: List[int], eps: float) -> Tensor:
    n = torch.size(ids, 0)
    h = self.hidden(ids, positions, inv_freq, w, a, b, s, dims, eps, 0., [n], annotate(List[int], []), annotate(List[Tensor], []))
    parts = annotate(List[Tensor], [])
    for part in range(torch.floordiv(n + 254, 256)):
      begin = 256 * part
      rows = ops.prim.min(256, n - 1 - begin)
      logits = torch.to(torch.linear(torch.narrow(h, 0, begin, rows), w[torch.len(w) - 1]), 7)
      labels = torch.unsqueeze(torch.narrow(ids, 0, begin + 1, rows), 1)
      _ = torch.append(parts, torch.squeeze(torch.gather(torch.log_softmax(logits, -1), 1, labels), 1))
    return torch.cat(parts, 0)

  # theta^(-2 i / head_dim), i < head_dim / 2, computed as transformers does, so that the last bit agrees
  def inv_freq(self, theta: float, head_dim: int) -> Tensor:
    return torch.reciprocal(torch.pow(theta, torch.to(torch.arange(0, head_dim, 2, dtype=4), 6) / head_dim))

  def zeros(self, like: Tensor, shape: List[int]) -> Tensor:
    return torch.new_zeros(like, shape)
