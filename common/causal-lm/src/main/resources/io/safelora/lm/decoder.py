# The decoder-only transformer, as TorchScript. All model families run through the one layer below; they differ by the attributes, and by which
# weights a layer has: its names are those of Family.java. Sequences lie one after another without padding: "tokens" is the sum of their
# lengths. Linear layers run over all tokens at once, attention runs sequence by sequence.
#   adapters, spans: the LoRA adapter ("" for none) of so many tokens, one after another; dropout acts on an adapter's input
#   lens: new tokens per sequence      past: tokens per sequence that are in its cache already
#   caches: none, or one per sequence (layers, 2, kv_heads, capacity, head_dim)
class Decoder(Module):
  heads : int
  kv_heads : int
  head_dim : int
  windows : List[int]          # per layer: how many tokens back attention sees, itself included; 0: all
  score_scale : float          # of q k^T
  score_softcap : float        # scores become cap tanh(score / cap); 0: as they are
  logit_softcap : float
  embedding_scale : float
  eps : float
  one_plus : bool              # RMS norms multiply by 1 + weight
  activation : str
  transposed : bool            # linear weights of the layers are (in, out)
  heads_first : bool           # rows of a fused qkv: q, k, v of head 0, then of head 1, ...; else all q, all k, all v
  parallel : bool              # attention and MLP both read the layer's input
  rotary_dim : int             # elements of a head that are rotated; 0: positions are learned
  rotary_scale : float         # of cosine and sine
  dynamic_theta : float        # dynamic NTK: grows with the sequence; 0: no
  dynamic_factor : float
  max_positions : int
  layers : List[Dict[str, Tensor]]
  outer : Dict[str, Tensor]    # embedding, positions, norm, head, inv_freq
  adapters : Dict[str, List[Dict[str, Tensor]]]

  def load(self, layers: List[Dict[str, Tensor]], outer: Dict[str, Tensor]) -> None:
    self.layers = layers
    self.outer = outer

  # Per layer NAME.a (r, in), NAME.b (out, r), NAME.scale ()
  def set_adapter(self, name: str, layers: List[Dict[str, Tensor]]) -> None:
    torch._set_item(self.adapters, name, layers)

  def remove_adapter(self, name: str) -> None:
    _ = torch.pop(self.adapters, name)

  # y = W x + bias + s B A x (Hu et al. 2021, arXiv 2106.09685, section 4.1)
  def linear(self, i: int, name: str, x: Tensor, adapters: List[str], spans: List[int], dropout: float) -> Tensor:
    w = self.layers[i][name]
    if self.transposed:
      w = torch.t(w)
    y = torch.linear(x, w, torch.get(self.layers[i], name + ".bias"))            # (tokens, out)
    begin = 0
    for n in range(torch.len(adapters)):
      if adapters[n] != "":
        lora = self.adapters[adapters[n]][i]
        if name + ".a" in lora:
          a = lora[name + ".a"]
          u = torch.dropout(torch.type_as(torch.narrow(x, 0, begin, spans[n]), a), dropout, dropout > 0.)
          update = torch.linear(torch.linear(u, a), lora[name + ".b"]) * lora[name + ".scale"]
          if torch.len(adapters) == 1:
            y = torch.type_as(y + update, y)
          else:
            _ = torch.add_(torch.narrow(y, 0, begin, spans[n]), update)
      begin = begin + spans[n]
    return y

  # Over the last dimension: layer norm where there is a bias, else RMS norm (Zhang and Sennrich 2019)
  def norm(self, x: Tensor, w: Dict[str, Tensor], name: str) -> Tensor:
    weight = w[name]
    shape = [torch.size(x, -1)]
    if name + ".bias" in w:
      y = torch.layer_norm(x, shape, weight, w[name + ".bias"], self.eps)
    elif self.one_plus:
      y = torch.type_as(torch.rms_norm(torch.to(x, 6), shape, torch.to(weight, 6) + 1., self.eps), x)
    else:
      y = torch.rms_norm(x, shape, weight, self.eps)
    return y

  # x (tokens, heads, head_dim) turned by the angles of their positions (Su et al. 2021), halves paired as Hugging Face does
  def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    d = self.rotary_dim
    if d > 0:
      half = torch.floordiv(d, 2)
      r = torch.narrow(x, -1, 0, d)
      turned = torch.cat([-torch.narrow(r, -1, half, half), torch.narrow(r, -1, 0, half)], -1)
      r = r * cos + turned * sin
      if d < self.head_dim:
        r = torch.cat([r, torch.narrow(x, -1, d, self.head_dim - d)], -1)
      x = r
    return x

  # softmax(q k^T scale) v of one sequence, each token looking at itself and what came before
  # q (new, heads, head_dim); k, v (kv_heads, past + new, head_dim); out (new, heads * head_dim)
  def attend(self, i: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    new, total, window = torch.size(q, 0), torch.size(k, 1), self.windows[i]
    if new == 1 and window > 0 and window < total:
      k = torch.narrow(k, 1, total - window, window)
      v = torch.narrow(v, 1, total - window, window)
    group = torch.floordiv(self.heads, self.kv_heads)
    mask = annotate(Optional[Tensor], None)
    if new == 1:
      # One token sees everything: the heads of a group become the queries of their key-value head, and nothing is copied.
      qh = torch.view(q, [1, self.kv_heads, group, -1])
    else:
      k = torch.reshape(torch.expand(torch.unsqueeze(k, 1), [-1, group, -1, -1]), [self.heads, total, -1])
      v = torch.reshape(torch.expand(torch.unsqueeze(v, 1), [-1, group, -1, -1]), [self.heads, total, -1])
      qh = torch.unsqueeze(torch.transpose(q, 0, 1), 0)                           # (1, heads, new, head_dim)
      near = window > 0 and window < total
      if near or new < total or self.score_softcap > 0.:
        seen = torch.tril(torch.ones([new, total], dtype=11, device=ops.prim.device(q)), total - new)
        if near:
          seen = torch.triu(seen, total - new - window + 1)
        mask = seen
    y = self.softmax_v(qh, torch.unsqueeze(k, 0), torch.unsqueeze(v, 0), mask, new > 1 and torch.__is__(mask, None))
    if new == 1:
      y = torch.reshape(y, [1, -1])
    else:
      y = torch.reshape(torch.transpose(torch.squeeze(y, 0), 0, 1), [new, -1])
    return y

  # q (1, heads, queries, head_dim); k, v (1, heads, keys, head_dim); mask (queries, keys), true where seen
  def softmax_v(self, q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor], causal: bool) -> Tensor:
    cap = self.score_softcap
    if cap == 0.:
      y = torch.scaled_dot_product_attention(q, k, v, mask, 0., causal, scale=self.score_scale)
    else:
      scores = torch.tanh(torch.matmul(q, torch.transpose(k, -1, -2)) * self.score_scale / cap) * cap
      if torch.__isnot__(mask, None):
        scores = torch.masked_fill(scores, torch.logical_not(unchecked_cast(Tensor, mask)), -inf)
      y = torch.matmul(torch.type_as(torch.softmax(scores, -1, 6), v), v)
    return y

  # q, k, v (tokens, heads or kv_heads, head_dim) of h (tokens, hidden)
  def qkv(self, i: int, h: Tensor, adapters: List[str], spans: List[int], dropout: float) -> Tuple[Tensor, Tensor, Tensor]:
    w, d, n, m = self.layers[i], self.head_dim, self.heads, self.kv_heads
    if "qkv" in w:
      y = self.linear(i, "qkv", h, adapters, spans, dropout)
      if self.heads_first:
        y = torch.view(y, [-1, n, 3 * d])
        q, k, v = torch.narrow(y, -1, 0, d), torch.narrow(y, -1, d, d), torch.narrow(y, -1, 2 * d, d)
      else:
        y = torch.view(y, [-1, n + 2 * m, d])
        q, k, v = torch.narrow(y, 1, 0, n), torch.narrow(y, 1, n, m), torch.narrow(y, 1, n + m, m)
    else:
      q = torch.view(self.linear(i, "q", h, adapters, spans, dropout), [-1, n, d])
      k = torch.view(self.linear(i, "k", h, adapters, spans, dropout), [-1, m, d])
      v = torch.view(self.linear(i, "v", h, adapters, spans, dropout), [-1, m, d])
    if "norm.q" in w:
      q, k = self.norm(q, w, "norm.q"), self.norm(k, w, "norm.k")
    return (q, k, v)

  def act(self, x: Tensor) -> Tensor:
    if self.activation == "silu":
      y = torch.silu(x)
    elif self.activation == "gelu":
      y = torch.gelu(x)
    elif self.activation == "gelu_tanh":
      y = torch.gelu(x, approximate="tanh")
    else:
      y = torch.relu(x)
    return y

  def mlp(self, i: int, h: Tensor, adapters: List[str], spans: List[int], dropout: float) -> Tensor:
    w = self.layers[i]
    if "gate_up" in w:
      y = self.linear(i, "gate_up", h, adapters, spans, dropout)
      half = torch.floordiv(torch.size(y, -1), 2)
      y = self.act(torch.narrow(y, -1, 0, half)) * torch.narrow(y, -1, half, half)
    elif "gate" in w:
      y = self.act(self.linear(i, "gate", h, adapters, spans, dropout)) * self.linear(i, "up", h, adapters, spans, dropout)
    else:
      y = self.act(self.linear(i, "up", h, adapters, spans, dropout))
    return self.linear(i, "down", y, adapters, spans, dropout)

  def layer(self, i: int, x: Tensor, cos: Tensor, sin: Tensor, adapters: List[str], spans: List[int], dropout: float,
            lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    w = self.layers[i]
    q, k, v, = self.qkv(i, self.norm(x, w, "norm.attention"), adapters, spans, dropout)
    y = self.attention(i, self.rotate(q, cos, sin), self.rotate(k, cos, sin), v, lens, past, caches)
    y = self.linear(i, "o", y, adapters, spans, dropout)
    if "norm.attention.out" in w:
      y = self.norm(y, w, "norm.attention.out")
    if self.parallel:
      x = x + y + self.mlp(i, self.norm(x, w, "norm.mlp"), adapters, spans, dropout)
    else:
      x = x + y
      y = self.mlp(i, self.norm(x, w, "norm.mlp"), adapters, spans, dropout)
      if "norm.mlp.out" in w:
        y = self.norm(y, w, "norm.mlp.out")
      x = x + y
    return x                                                                     # (tokens, hidden)

  # All sequences' attention, one after another (tokens, heads * head_dim)
  def attention(self, i: int, q: Tensor, k: Tensor, v: Tensor, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
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
      _ = torch.append(attended, self.attend(i, torch.narrow(q, 0, begin, new), kn, vn))
      begin = begin + new
    return torch.cat(attended, 0)

  # The layers' first input (tokens, hidden). ids, positions (tokens,) int64
  def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
    x = torch.embedding(self.outer["embedding"], ids)
    if "positions" in self.outer:
      x = x + torch.embedding(self.outer["positions"], positions)
    if self.embedding_scale != 1.:
      x = x * torch.type_as(torch.full([1], self.embedding_scale, dtype=6), x)     # rounded to x's type first, as Gemma was trained
    return x

  # Cosines and sines (tokens, 1, rotary_dim) in x's type; totals (tokens,): the length so far of the sequence a token is in
  def angles(self, positions: Tensor, totals: Tensor, x: Tensor) -> Tuple[Tensor, Tensor]:
    inv_freq = torch.unsqueeze(self.outer["inv_freq"], 0)                         # (1, rotary_dim / 2) float32
    if self.dynamic_theta > 0.:
      # Dynamic NTK: beyond the trained length, theta grows so that the slowest frequency is stretched to fit.
      f, d = self.dynamic_factor, self.rotary_dim
      stretch = torch.to(torch.clamp(totals, self.max_positions), 6) * f / self.max_positions - (f - 1.)
      theta = torch.unsqueeze(torch.pow(stretch, torch.div(d, d - 2)) * self.dynamic_theta, 1)
      exponents = torch.to(torch.arange(0, d, 2, dtype=4, device=ops.prim.device(x)), 6) / d
      inv_freq = torch.reciprocal(torch.pow(theta, torch.unsqueeze(exponents, 0)))
    angles = torch.unsqueeze(torch.to(positions, 6), 1) * inv_freq
    angles = torch.unsqueeze(torch.cat([angles, angles], -1), 1)
    return (torch.type_as(torch.cos(angles) * self.rotary_scale, x), torch.type_as(torch.sin(angles) * self.rotary_scale, x))

  # The last layer's output after the final norm (tokens, hidden). ids, positions, totals (tokens,) int64: a token, its place in its sequence,
  # and the length of that so far. From ids on, the methods below take the same arguments: a run.
  def hidden(self, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int], dropout: float,
             lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    x = self.embed(ids, positions)
    cos, sin, = self.angles(positions, totals, x)
    for i in range(torch.len(self.layers)):
      x = self.layer(i, x, cos, sin, adapters, spans, dropout, lens, past, caches)
    return self.norm(x, self.outer, "norm")

  # Logits (tokens, vocab) in float32 of h (tokens, hidden)
  def head(self, h: Tensor) -> Tensor:
    logits = torch.linear(h, self.outer["head"])
    if self.logit_softcap > 0.:
      logits = torch.tanh(logits / self.logit_softcap) * self.logit_softcap
    return torch.to(logits, 6)

  # Logits (rows, vocab) of some tokens. rows (rows,) int64
  def logits(self, rows: Tensor, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int],
             dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    h = self.hidden(ids, positions, totals, adapters, spans, dropout, lens, past, caches)
    return self.head(torch.index_select(h, 0, rows))

  # The likeliest next token (rows,) after some tokens
  def next(self, rows: Tensor, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int],
           dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    return torch.argmax(self.logits(rows, ids, positions, totals, adapters, spans, dropout, lens, past, caches), -1)

  # The sum of -log p(labels[k] | everything up to token rows[k]), a scalar in float32
  def loss(self, rows: Tensor, labels: Tensor, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int],
           dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    h = self.hidden(ids, positions, totals, adapters, spans, dropout, lens, past, caches)
    return torch.cross_entropy_loss(self.head(torch.index_select(h, 0, rows)), labels, None, 2, -100, 0.)

  # What the head reads of some tokens (rows, hidden), with autograd's record of how it came to be
  def answers(self, rows: Tensor, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int],
              dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    return torch.index_select(self.hidden(ids, positions, totals, adapters, spans, dropout, lens, past, caches), 0, rows)

  # The sum of -log p(labels[k]) (), float32, and the gradient of scale times it with respect to h (rows, hidden): (softmax - one-hot) times the
  # head. Both at once and some rows at a time, so that logits never stand whole, and never wait for a backward pass.
  def head_gradient(self, h: Tensor, labels: Tensor, scale: float) -> Tuple[Tensor, Tensor]:
    w = self.outer["head"]
    n = torch.size(h, 0)
    rows = ops.prim.max(16, torch.floordiv(8388608, torch.size(w, 0)))
    loss = torch.zeros([], dtype=6, device=ops.prim.device(h))
    gradient = torch.empty_like(h)
    for part in range(torch.floordiv(n + rows - 1, rows)):
      begin = part * rows
      size = ops.prim.min(rows, n - begin)
      label = torch.narrow(labels, 0, begin, size)
      logits = self.head(torch.narrow(h, 0, begin, size))                          # (size, vocab) float32
      log_p = torch.log_softmax(logits, -1)
      loss = loss + torch.nll_loss_nd(log_p, label, None, 2, -100)
      g = torch.exp_(log_p)
      _ = torch.scatter_add_(g, 1, torch.unsqueeze(label, 1), torch.full([size, 1], -1., dtype=6, device=ops.prim.device(h)))
      if self.logit_softcap > 0.:
        g = g * (1. - torch.square(logits / self.logit_softcap))
      _ = torch.copy_(torch.narrow(gradient, 0, begin, size), torch.matmul(torch.type_as(torch.mul_(g, scale), w), w))
    return (loss, gradient)

  # Activation checkpointing (Chen et al. 2016, arXiv 1604.06174) runs the layers one by one: their first input with cosines and sines,
  # a layer, and what the head reads of the last one's output
  def start(self, ids: Tensor, positions: Tensor, totals: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    x = self.embed(ids, positions)
    cos, sin, = self.angles(positions, totals, x)
    return (x, cos, sin)

  def finish(self, rows: Tensor, x: Tensor) -> Tensor:
    return self.norm(torch.index_select(x, 0, rows), self.outer, "norm")

  # log p(labels[k] | everything up to token rows[k]) (rows,), float64; logits never stand for more than 256 tokens at once
  def logprobs(self, rows: Tensor, labels: Tensor, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int],
               dropout: float, lens: List[int], past: List[int], caches: List[Tensor]) -> Tensor:
    h = self.hidden(ids, positions, totals, adapters, spans, dropout, lens, past, caches)
    h = torch.index_select(h, 0, rows)
    n = torch.size(h, 0)
    parts = annotate(List[Tensor], [])
    for part in range(torch.floordiv(n + 255, 256)):
      begin = 256 * part
      size = ops.prim.min(256, n - begin)
      logits = torch.to(self.head(torch.narrow(h, 0, begin, size)), 7)
      label = torch.unsqueeze(torch.narrow(labels, 0, begin, size), 1)
      _ = torch.append(parts, torch.squeeze(torch.gather(torch.log_softmax(logits, -1), 1, label), 1))
    return torch.cat(parts, 0)

  # theta^(-2 i / dim), i < dim / 2, computed as transformers does, so that the last bit agrees
  def inv_freq(self, theta: float, dim: int) -> Tensor:
    return torch.reciprocal(torch.pow(theta, torch.to(torch.arange(0, dim, 2, dtype=4), 6) / dim))

  # A cache of the weights' type
  def zeros(self, shape: List[int]) -> Tensor:
    return torch.new_zeros(self.outer["embedding"], shape)
