# The decoder-only transformer, as TorchScript. All model families run through the one layer below; they differ by the attributes, and by which
# weights a layer has: its names are those of families.json. Sequences lie one after another without padding: "tokens" is the sum of their
# lengths. Linear layers run over all tokens at once. A sequence may begin with a prefix that it shares with others, whose keys and values
# stand once; attention over the prefix and over a sequence's own tokens are two softmaxes, merged by the logarithms of their sums.

# Whose tokens they are: the adapter ("" for none) of so many, one after another, and the weights that it has in the place of the model's
class Spans(NamedTuple):
  adapters : List[str]
  lens : List[int]
  own : List[List[Dict[str, Tensor]]]   # per span; empty if no adapter has any
  dropout : float                       # acts on an adapter's input

# What the layers are told of the tokens; see Decoder.run
class Run(NamedTuple):
  cos : Tensor
  sin : Tensor
  positions : Tensor
  whose : __torch__.Spans
  lens : List[int]
  past : List[int]
  slots : List[int]
  prefixes : List[Tensor]
  sharers : List[int]
  cache : List[Tensor]
  seen : List[Tensor]
  masks : List[Tensor]

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
  weights : List[Dict[str, Tensor]]  # of the layers, and last those outside: embedding, positions, norm, head, inv_freq
  packed : List[Dict[str, Tensor]]   # of these the linear ones, as oneDNN likes them; see pack
  none : List[Dict[str, Tensor]]     # as many, empty
  adapters : Dict[str, List[Dict[str, Tensor]]]
  replaced : Dict[str, List[Dict[str, Tensor]]]   # of the adapters that have weights in the place of the model's

  def load(self, weights: List[Dict[str, Tensor]]) -> None:
    self.weights = weights
    for i in range(torch.len(weights)):
      _ = torch.append(self.packed, annotate(Dict[str, Tensor], {}))
      _ = torch.append(self.none, annotate(Dict[str, Tensor], {}))

  def layers(self) -> int:
    return torch.len(self.weights) - 1

  def outer(self) -> Dict[str, Tensor]:
    return self.weights[-1]

  # Lets go of everything that load, pack and set_adapter keep, so that another model of the same attributes can come in.
  def unload(self) -> None:
    self.weights = annotate(List[Dict[str, Tensor]], [])
    self.packed = annotate(List[Dict[str, Tensor]], [])
    self.none = annotate(List[Dict[str, Tensor]], [])
    self.adapters = annotate(Dict[str, List[Dict[str, Tensor]]], {})
    self.replaced = annotate(Dict[str, List[Dict[str, Tensor]]], {})

  # Lays the linear weights out as oneDNN's matrix multiplication reads them, which twice as many tokens per second can be worth. It copies them,
  # and has no gradient: for models that are only run. 32 tokens is what the layout is chosen for; it does for one and for hundreds.
  def pack(self) -> None:
    for i in range(self.layers()):
      for name in torch.keys(self.weights[i]):
        w = self.weights[i][name]
        if torch.dim(w) == 2:
          torch._set_item(self.packed[i], name, ops.mkldnn._reorder_linear_weight(torch.contiguous(torch.t(w) if self.transposed else w), 32))
    torch._set_item(self.packed[-1], "head", ops.mkldnn._reorder_linear_weight(self.outer()["head"], 32))

  def packed_linear(self, x: Tensor, w: Tensor, bias: Optional[Tensor]) -> Tensor:
    return ops.mkldnn._linear_pointwise(torch.contiguous(x), w, bias, "none", annotate(List[Optional[number]], []), "")

  # What an adapter brings, per layer and last outside of them, by the names of the weights:
  #   layers  NAME.a (r, in), NAME.b (out, r), NAME.scale (); and perhaps NAME.b.bias (out,), DoRA's NAME.magnitude (out,), and of a model that is
  #           only run NAME.norm (out,), see row_norms. An embedding is (out, in) = (hidden, vocab)
  #   own     weights in the place of the model's; and NAME.rows (ids, hidden), rows of embedding or head: NAME.ids (ids,), and NAME.place (vocab,),
  #           where in them a token's row is, or -1
  def set_adapter(self, name: str, layers: List[Dict[str, Tensor]], own: List[Dict[str, Tensor]], owns: bool) -> None:
    torch._set_item(self.adapters, name, layers)
    if owns:
      torch._set_item(self.replaced, name, own)
    elif name in self.replaced:
      _ = torch.pop(self.replaced, name)

  def remove_adapter(self, name: str) -> None:
    _ = torch.pop(self.adapters, name)
    if name in self.replaced:
      _ = torch.pop(self.replaced, name)

  def spans(self, adapters: List[str], lens: List[int], dropout: float) -> __torch__.Spans:
    own, owners = annotate(List[List[Dict[str, Tensor]]], []), 0
    if torch.len(self.replaced) > 0:
      for adapter in adapters:
        owners = owners + (1 if adapter in self.replaced else 0)
        _ = torch.append(own, self.replaced[adapter] if adapter in self.replaced else self.none)
      if owners == 0:
        own = annotate(List[List[Dict[str, Tensor]]], [])
    return __torch__.Spans(adapters, lens, own, dropout)

  # W (out, in) of a linear weight; the head is never stored transposed
  def matrix(self, i: int, name: str, own: Dict[str, Tensor]) -> Tensor:
    w = own[name] if name in own else self.weights[i][name]
    return torch.t(w) if self.transposed and i < self.layers() else w

  # W x + bias
  def product(self, i: int, name: str, x: Tensor) -> Tensor:
    bias = torch.get(self.weights[i], name + ".bias")
    if name in self.packed[i]:
      y = self.packed_linear(x, self.packed[i][name], bias)                       # (tokens, out)
    else:
      y = torch.linear(x, self.matrix(i, name, self.none[i]), bias)
    return y

  # The same with an adapter's own weights where it has some
  def own_product(self, i: int, name: str, x: Tensor, own: Dict[str, Tensor]) -> Tensor:
    bias = torch.get(self.weights[i], name + ".bias")
    if name + ".bias" in own:
      bias = torch.type_as(own[name + ".bias"], x)
    if name in own or name + ".bias" in own:
      y = torch.linear(x, torch.type_as(self.matrix(i, name, own), x), bias)
    else:
      y = self.product(i, name, x)
    if name + ".rows" in own:
      y = torch.index_copy(y, 1, own[name + ".ids"], torch.linear(x, torch.type_as(own[name + ".rows"], x)))
    return y

  # y = W x + bias + s B A x (Hu et al. 2021, arXiv 2106.09685, section 4.1)
  def linear(self, i: int, name: str, x: Tensor, whose: __torch__.Spans) -> Tensor:
    if torch.len(whose.own) == 0:
      y = self.product(i, name, x)
    else:
      ys, begin = annotate(List[Tensor], []), 0
      for n in range(torch.len(whose.adapters)):
        _ = torch.append(ys, self.own_product(i, name, torch.narrow(x, 0, begin, whose.lens[n]), whose.own[n][i]))
        begin = begin + whose.lens[n]
      y = ys[0] if torch.len(ys) == 1 else torch.cat(ys, 0)
    return self.adapted(i, name, x, y, whose)

  # y with every adapter's s B A x added. x (tokens, in), or of an embedding, whose input is one-hot, the ids (tokens,)
  def adapted(self, i: int, name: str, x: Tensor, y: Tensor, whose: __torch__.Spans) -> Tensor:
    begin = 0
    for n in range(torch.len(whose.adapters)):
      if whose.adapters[n] != "":
        lora = self.adapters[whose.adapters[n]][i]
        if name + ".a" in lora:
          a, xn = lora[name + ".a"], torch.narrow(x, 0, begin, whose.lens[n])
          if torch.dim(x) == 1:
            u, ax = xn, torch.t(torch.index_select(a, 1, xn))
          else:
            u = torch.dropout(torch.type_as(xn, a), whose.dropout, whose.dropout > 0.)
            ax = torch.linear(u, a)                                               # (tokens, r)
          update = torch.linear(ax * lora[name + ".scale"], lora[name + ".b"])
          if name + ".b.bias" in lora:
            update = update + lora[name + ".b.bias"] * lora[name + ".scale"]
          if name + ".magnitude" in lora:
            own = self.none[i] if torch.len(whose.own) == 0 else whose.own[n][i]
            update = self.dora(i, name, u, torch.narrow(y, 0, begin, whose.lens[n]), update, lora, own, whose.dropout)
          if torch.len(whose.adapters) == 1:
            y = y + torch.type_as(update, y)
          else:
            _ = torch.add_(torch.narrow(y, 0, begin, whose.lens[n]), update)
      begin = begin + whose.lens[n]
    return y

  # DoRA (Liu et al. 2024, arXiv 2402.09353): W + s B A with its rows scaled to norms that are learned, so that W x becomes g (W x + s B A x),
  # g = magnitude / |W + s B A|. The norm counts as a constant (section 4.3). u: what A reads; y: W x + bias; (tokens, out): what y lacks
  def dora(self, i: int, name: str, u: Tensor, y: Tensor, update: Tensor, lora: Dict[str, Tensor], own: Dict[str, Tensor], dropout: float) -> Tensor:
    if name + ".norm" in lora:
      norm = lora[name + ".norm"]
    else:
      norm = self.row_norms(i, name, lora, own)
    g = lora[name + ".magnitude"] / norm
    if torch.dim(u) == 2 and dropout > 0.:
      wx = torch.linear(u, torch.type_as(self.matrix(i, name, own), u))
    else:
      wx = torch.type_as(y, g)
      w = own if name + ".bias" in own else self.weights[i]
      if name + ".bias" in w:
        wx = wx - torch.type_as(w[name + ".bias"], g)
    return (g - 1.) * wx + g * update

  # |W + s B A| row by row (out,), without autograd
  def row_norms(self, i: int, name: str, lora: Dict[str, Tensor], own: Dict[str, Tensor]) -> Tensor:
    w = self.matrix(i, name, own)
    ba = torch.matmul(torch.detach(lora[name + ".b"]), torch.detach(lora[name + ".a"]))
    w = torch.detach(torch.t(w) if name == "embedding" or name == "positions" else w)
    return torch.linalg_vector_norm(torch.type_as(w, ba) + ba * lora[name + ".scale"], 2, [1])

  def adapter_norms(self, adapter: str, i: int, name: str) -> Tensor:
    return self.row_norms(i, name, self.adapters[adapter][i], self.replaced[adapter][i] if adapter in self.replaced else self.none[i])

  # Over the last dimension: layer norm where there is a bias, else RMS norm (Zhang and Sennrich 2019)
  def norm(self, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    shape = [torch.size(x, -1)]
    if torch.__isnot__(bias, None):
      y = torch.layer_norm(x, shape, weight, bias, self.eps)
    elif self.one_plus:
      y = torch.type_as(torch.rms_norm(torch.to(x, 6), shape, torch.to(weight, 6) + 1., self.eps), x)
    elif ops.prim.requires_grad(x):
      # As rms_norm does, but the gradient of a vector's norm is half the work of that of a mean of squares.
      f = torch.to(x, 6)
      mean_square = torch.square(torch.linalg_vector_norm(f, 2, [-1], True)) / torch.size(x, -1)
      y = torch.type_as(f * torch.rsqrt(mean_square + self.eps) * torch.to(weight, 6), x)
    else:
      y = torch.rms_norm(x, shape, weight, self.eps)
    return y

  # The norm of that name, every adapter's tokens by the weights that it has
  def norms(self, i: int, name: str, x: Tensor, whose: __torch__.Spans) -> Tensor:
    w = self.weights[i]
    if torch.len(whose.own) == 0:
      y = self.norm(x, w[name], torch.get(w, name + ".bias"))
    else:
      ys, begin = annotate(List[Tensor], []), 0
      for n in range(torch.len(whose.adapters)):
        own, bias = whose.own[n][i], torch.get(w, name + ".bias")
        if name + ".bias" in own:
          bias = torch.type_as(own[name + ".bias"], x)
        weight = torch.type_as(own[name] if name in own else w[name], x)
        _ = torch.append(ys, self.norm(torch.narrow(x, 0, begin, whose.lens[n]), weight, bias))
        begin = begin + whose.lens[n]
      y = ys[0] if torch.len(ys) == 1 else torch.cat(ys, 0)
    return y

  # x (tokens, heads, head_dim) turned by the angles of their positions (Su et al. 2021), halves paired as Hugging Face does
  def rotate(self, x: Tensor, run: __torch__.Run) -> Tensor:
    d = self.rotary_dim
    if d > 0:
      r, rest, = torch.split_with_sizes(x, [d, self.head_dim - d], -1)
      first, second, = torch.chunk(r, 2, -1)
      r = r * run.cos + torch.cat([-second, first], -1) * run.sin
      x = torch.cat([r, rest], -1) if d < self.head_dim else r
    return x

  # softmax(q k^T scale + mask) v and, if asked for, the logarithm of each softmax's sum (Dao et al. 2022, arXiv 2205.14135)
  # q (n, heads, queries, head_dim); k, v (n, heads, keys, head_dim); mask 0 or LOW, broadcast; out as q; (n, heads, queries)
  def softmax_v(self, q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor], causal: bool, with_log: bool) -> Tuple[Tensor, Tensor]:
    cap = self.score_softcap
    log = torch.new_empty(q, [0])
    if cap == 0. and not with_log:
      y = torch.scaled_dot_product_attention(q, k, v, mask, 0., causal, scale=self.score_scale)
    elif cap == 0. and torch.eq(ops.prim.type(ops.prim.device(q)), "cpu"):
      y, log, = torch._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0., causal, attn_mask=mask, scale=self.score_scale)
    else:
      scores = torch.to(torch.matmul(q, torch.transpose(k, -1, -2)), 6) * self.score_scale
      if cap > 0.:
        scores = torch.tanh(scores / cap) * cap
      if torch.__isnot__(mask, None):
        scores = scores + unchecked_cast(Tensor, mask)
      elif causal:
        scores = scores + self.low(torch.triu(torch.ones([torch.size(q, -2), torch.size(k, -2)], dtype=11, device=ops.prim.device(q)), 1), scores)
      log = torch.logsumexp(scores, [-1])
      y = torch.matmul(torch.type_as(torch.softmax(scores, -1), v), v)
    return (y, log)

  # 0, and where hidden so low that nothing is left of it: not -inf, of which a row without any other would make NaN
  def low(self, hidden: Tensor, like: Tensor) -> Tensor:
    return torch.masked_fill(torch.new_zeros(like, torch.size(hidden)), hidden, -1.0e+30)

  # One sequence's tokens over its own tokens, each looking at itself and what came before
  # q (new, heads, head_dim); k, v (kv_heads, past + new, head_dim)
  def own(self, i: int, q: Tensor, k: Tensor, v: Tensor, with_log: bool) -> Tuple[Tensor, Tensor]:
    new, total, window = torch.size(q, 0), torch.size(k, 1), self.windows[i]
    group = torch.floordiv(self.heads, self.kv_heads)
    if group > 1:
      k = torch.reshape(torch.expand(torch.unsqueeze(k, 1), [-1, group, -1, -1]), [self.heads, total, -1])
      v = torch.reshape(torch.expand(torch.unsqueeze(v, 1), [-1, group, -1, -1]), [self.heads, total, -1])
    mask = annotate(Optional[Tensor], None)
    near = window > 0 and window < total
    if near or new < total:
      at = torch.unsqueeze(torch.arange(total - new, total, device=ops.prim.device(q)), 1)
      before = at - torch.arange(total, device=ops.prim.device(q))                # (new, total)
      hidden = before < 0
      if near:
        hidden = torch.__or__(hidden, before >= window)
      mask = self.low(hidden, q)
    y, log, = self.softmax_v(torch.unsqueeze(torch.transpose(q, 0, 1), 0), torch.unsqueeze(k, 0), torch.unsqueeze(v, 0), mask,
                             torch.__is__(mask, None), with_log)
    return (torch.transpose(torch.squeeze(y, 0), 0, 1), log)                      # (new, heads, head_dim), (1, heads, new)

  # The same by plain products, in which there is no second softmax to merge: blocks of queries over a prefix and the keys up to their last, the
  # heads of a group being the queries of their key-value head, so that nothing is repeated. On a CPU it takes half the time of libtorch's flash
  # attention with its backward pass, and in bfloat16 less without one, too. All scores of a block stand at once, and autograd keeps what softmax gives,
  # heads new (new + block) / 2 elements: for short sequences only.
  # q (new, heads, head_dim); k, v (kv_heads, prefix + new, head_dim); mask from masks; (new, heads, head_dim)
  def blocks(self, q: Tensor, k: Tensor, v: Tensor, prefix: int, mask: Tensor) -> Tensor:
    new, m, d, block = torch.size(q, 0), self.kv_heads, self.head_dim, 256
    group = torch.floordiv(self.heads, m)
    qs = torch.split(torch.reshape(torch.transpose(torch.reshape(q, [new, m, group, d]), 0, 1), [m, new * group, d]), block * group, 1)
    ys = annotate(List[Tensor], [])
    for n in range(torch.floordiv(new + block - 1, block)):
      begin, end = n * block, ops.prim.min(new, (n + 1) * block)
      hidden = torch.narrow(torch.narrow(mask, 0, begin * group, (end - begin) * group), 1, 0, end)
      if prefix > 0:
        hidden = torch.cat([torch.new_zeros(hidden, [torch.size(hidden, 0), prefix]), hidden], 1)
      kt = torch.transpose(k if end == new else torch.narrow(k, 1, 0, prefix + end), 1, 2)
      scores = torch.baddbmm(hidden, qs[n], kt, beta=1, alpha=self.score_scale)
      _ = torch.append(ys, torch.matmul(torch.softmax(scores, -1), v if end == new else torch.narrow(v, 1, 0, prefix + end)))
    y = torch.view(torch.cat(ys, 1), [m, new, group, d])
    return torch.reshape(torch.transpose(y, 0, 1), [new, -1, d])

  # What blocks adds to the scores of the longest sequence (longest * group, longest): all tokens up to a query's, and those of the window
  def masks(self, longest: int, x: Tensor) -> List[Tensor]:
    before = torch.unsqueeze(torch.arange(longest, device=ops.prim.device(x)), 1) - torch.arange(longest, device=ops.prim.device(x))
    before = torch.repeat_interleave(before, torch.floordiv(self.heads, self.kv_heads), 0)
    window = ops.prim.max(self.windows)
    return [self.low(before < 0, x), self.low(torch.__or__(before < 0, before >= window), x)]

  # One new token of every sequence over what is in their slots of the cache, all at once. The heads of a group are the queries of their
  # key-value head, so nothing is copied. q (slots, heads, head_dim); k, v (slots, kv_heads, capacity, head_dim)
  def next_token(self, i: int, q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tuple[Tensor, Tensor]:
    n, d = torch.size(q, 0), self.head_dim
    y, log, = self.softmax_v(torch.view(q, [n, self.kv_heads, -1, d]), k, v, seen, False, True)
    return (torch.reshape(y, [n, -1, d]), torch.reshape(log, [n, -1]))                  # (slots, heads, head_dim), (slots, heads)

  # The tokens of all sequences with one prefix over that prefix. q (tokens, heads, head_dim); k, v (1, kv_heads, prefix, head_dim)
  def shared(self, i: int, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tuple[Tensor, Tensor]:
    n, prefix, m, d, window = torch.size(q, 0), torch.size(k, 2), self.kv_heads, self.head_dim, self.windows[i]
    qs = torch.reshape(torch.transpose(torch.view(q, [n, m, -1, d]), 0, 1), [1, m, -1, d])
    mask = annotate(Optional[Tensor], None)
    if window > 0:
      before = torch.unsqueeze(positions, 1) - torch.arange(prefix, device=ops.prim.device(q))
      far = torch.repeat_interleave(before >= window, torch.floordiv(self.heads, m), 0)
      mask = self.low(far, q)
    y, log, = self.softmax_v(qs, k, v, mask, False, True)
    y = torch.reshape(torch.transpose(torch.reshape(y, [m, n, -1, d]), 0, 1), [n, -1, d])
    return (y, torch.reshape(torch.transpose(torch.reshape(log, [m, n, -1]), 0, 1), [n, -1]))

  # All sequences' attention, one after another (tokens, heads * head_dim)
  def attention(self, i: int, q: Tensor, k: Tensor, v: Tensor, run: __torch__.Run) -> Tensor:
    if torch.len(run.seen) > 0:
      # In a step of decoding: seen are slots (sequences,), past (sequences,), order of the slots' tokens, their mask, and that with a window.
      slots, past, order = run.seen[0], run.seen[1], run.seen[2]
      cache = torch.select(run.cache[0], 0, i)                                    # (2, slots, kv_heads, capacity, head_dim)
      _ = torch.index_put_(torch.select(cache, 0, 0), [slots, None, past], k)
      _ = torch.index_put_(torch.select(cache, 0, 1), [slots, None, past], v)
      seen = run.seen[4] if self.windows[i] > 0 else run.seen[3]
      kv = torch.narrow(cache, 1, 0, torch.size(order, 0))
      y, log, = self.next_token(i, torch.index_select(q, 0, order), torch.select(kv, 0, 0), torch.select(kv, 0, 1), seen)
      y, log = torch.index_select(y, 0, slots), torch.index_select(log, 0, slots)
    else:
      ys, logs = annotate(List[Tensor], []), annotate(List[Tensor], [])
      with_log = torch.len(run.prefixes) > 0 and torch.len(run.masks) == 0
      group, left = -1, 0
      qs, ks, vs = torch.split_with_sizes(q, run.lens, 0), torch.split_with_sizes(k, run.lens, 0), torch.split_with_sizes(v, run.lens, 0)
      for n in range(torch.len(run.lens)):
        new = run.lens[n]
        kn = torch.transpose(ks[n], 0, 1)                                         # (kv_heads, new, head_dim)
        vn = torch.transpose(vs[n], 0, 1)
        if torch.len(run.cache) > 0:
          cache = torch.select(torch.select(run.cache[0], 0, i), 1, run.slots[n])
          before = run.past[n]
          _ = torch.copy_(torch.narrow(torch.select(cache, 0, 0), 1, before, new), kn)
          _ = torch.copy_(torch.narrow(torch.select(cache, 0, 1), 1, before, new), vn)
          kn = torch.narrow(torch.select(cache, 0, 0), 1, 0, before + new)
          vn = torch.narrow(torch.select(cache, 0, 1), 1, 0, before + new)
        if torch.len(run.masks) > 0:
          prefix = 0
          if torch.len(run.prefixes) > 0:
            if left == 0:
              group, left = group + 1, run.sharers[group + 1]
            left = left - new
            prefix = torch.size(run.prefixes[group], 4)
            if prefix > 0:
              kv = torch.squeeze(torch.select(run.prefixes[group], 0, i), 1)      # (2, kv_heads, prefix, head_dim)
              kn, vn = torch.cat([torch.select(kv, 0, 0), kn], 1), torch.cat([torch.select(kv, 0, 1), vn], 1)
          yn, logn = self.blocks(qs[n], kn, vn, prefix, run.masks[1] if self.windows[i] > 0 else run.masks[0]), qs[n]
        else:
          yn, logn, = self.own(i, qs[n], kn, vn, with_log)
        _ = torch.append(ys, yn)
        if with_log:
          _ = torch.append(logs, torch.transpose(torch.squeeze(logn, 0), 0, 1))
      y = torch.cat(ys, 0)
      log = torch.cat(logs, 0) if with_log else torch.new_empty(q, [0])
    if torch.len(run.prefixes) > 0 and torch.len(run.masks) == 0:
      ys = annotate(List[Tensor], [])
      begin = 0
      for n in range(torch.len(run.prefixes)):
        new = run.sharers[n]
        yn = torch.narrow(y, 0, begin, new)
        if torch.size(run.prefixes[n], 4) > 0:
          kv = torch.select(run.prefixes[n], 0, i)                                # (2, 1, kv_heads, prefix, head_dim)
          ysn, logsn, = self.shared(i, torch.narrow(q, 0, begin, new), torch.select(kv, 0, 0), torch.select(kv, 0, 1),
                                    torch.narrow(run.positions, 0, begin, new))
          share = torch.unsqueeze(torch.sigmoid(torch.to(logsn, 6) - torch.narrow(log, 0, begin, new)), -1)
          yn = torch.type_as(torch.lerp(torch.to(yn, 6), torch.to(ysn, 6), share), yn)
        _ = torch.append(ys, yn)
        begin = begin + new
      y = torch.cat(ys, 0)
    return torch.reshape(y, [torch.size(q, 0), -1])

  # q, k, v (tokens, heads or kv_heads, head_dim) of h (tokens, hidden)
  def qkv(self, i: int, h: Tensor, run: __torch__.Run) -> Tuple[Tensor, Tensor, Tensor]:
    w, d, n, m = self.weights[i], self.head_dim, self.heads, self.kv_heads
    if "qkv" in w:
      y = self.linear(i, "qkv", h, run.whose)
      if self.heads_first:
        y = torch.view(y, [-1, n, 3 * d])
        q, k, v = torch.narrow(y, -1, 0, d), torch.narrow(y, -1, d, d), torch.narrow(y, -1, 2 * d, d)
      else:
        y = torch.view(y, [-1, n + 2 * m, d])
        q, k, v = torch.narrow(y, 1, 0, n), torch.narrow(y, 1, n, m), torch.narrow(y, 1, n + m, m)
    else:
      q = torch.view(self.linear(i, "q", h, run.whose), [-1, n, d])
      k = torch.view(self.linear(i, "k", h, run.whose), [-1, m, d])
      v = torch.view(self.linear(i, "v", h, run.whose), [-1, m, d])
    if "norm.q" in w:
      q, k = self.norms(i, "norm.q", q, run.whose), self.norms(i, "norm.k", k, run.whose)
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

  def mlp(self, i: int, h: Tensor, run: __torch__.Run) -> Tensor:
    w, whose = self.weights[i], run.whose
    if "gate_up" in w:
      y = self.linear(i, "gate_up", h, whose)
      half = torch.floordiv(torch.size(y, -1), 2)
      y = self.act(torch.narrow(y, -1, 0, half)) * torch.narrow(y, -1, half, half)
    elif "gate" in w:
      y = self.act(self.linear(i, "gate", h, whose)) * self.linear(i, "up", h, whose)
    else:
      y = self.act(self.linear(i, "up", h, whose))
    return self.linear(i, "down", y, whose)

  def layer(self, i: int, x: Tensor, run: __torch__.Run) -> Tensor:
    w, whose = self.weights[i], run.whose
    q, k, v, = self.qkv(i, self.norms(i, "norm.attention", x, whose), run)
    y = self.attention(i, self.rotate(q, run), self.rotate(k, run), v, run)
    y = self.linear(i, "o", y, whose)
    if "norm.attention.out" in w:
      y = self.norms(i, "norm.attention.out", y, whose)
    if self.parallel:
      x = x + y + self.mlp(i, self.norms(i, "norm.mlp", x, whose), run)
    else:
      x = x + y
      y = self.mlp(i, self.norms(i, "norm.mlp", x, whose), run)
      if "norm.mlp.out" in w:
        y = self.norms(i, "norm.mlp.out", y, whose)
      x = x + y
    return x                                                                     # (tokens, hidden)

  # Rows (tokens, hidden) of an embedding
  def rows(self, name: str, ids: Tensor, whose: __torch__.Spans) -> Tensor:
    w = self.outer()[name]
    if torch.len(whose.own) == 0:
      x = torch.embedding(w, ids)
    else:
      xs, begin = annotate(List[Tensor], []), 0
      for n in range(torch.len(whose.adapters)):
        own, idn = whose.own[n][-1], torch.narrow(ids, 0, begin, whose.lens[n])
        xn = torch.type_as(torch.embedding(own[name] if name in own else w, idn), w)
        if name + ".rows" in own:
          place = torch.index_select(own[name + ".place"], 0, idn)
          other = torch.type_as(torch.embedding(own[name + ".rows"], torch.clamp(place, 0)), w)
          xn = torch.where(torch.unsqueeze(place >= 0, 1), other, xn)
        _ = torch.append(xs, xn)
        begin = begin + whose.lens[n]
      x = xs[0] if torch.len(xs) == 1 else torch.cat(xs, 0)
    return self.adapted(self.layers(), name, ids, x, whose)

  # The layers' first input (tokens, hidden). ids, positions (tokens,) int64
  def embed(self, ids: Tensor, positions: Tensor, adapters: List[str], spans: List[int]) -> Tensor:
    whose = self.spans(adapters, spans, 0.)
    x = self.rows("embedding", ids, whose)
    if "positions" in self.outer():
      x = x + self.rows("positions", positions, whose)
    if self.embedding_scale != 1.:
      x = x * torch.type_as(torch.full([1], self.embedding_scale, dtype=6), x)     # rounded to x's type first, as Gemma was trained
    return x

  # Cosines and sines (tokens, 1, rotary_dim) in x's type; totals (tokens,): the length so far of the sequence a token is in
  def angles(self, positions: Tensor, totals: Tensor, x: Tensor) -> Tuple[Tensor, Tensor]:
    inv_freq = torch.unsqueeze(self.outer()["inv_freq"], 0)                         # (1, rotary_dim / 2) float32
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

  # A run of tokens:
  #   ids, positions, totals (tokens,) int64: a token, its place in its sequence, and the length of that so far
  #   adapters, spans, dropout: see Spans
  #   lens: new tokens per sequence      past: its own tokens in the cache already      slots: its place there
  #   prefixes, sharers: none, or the keys and values (layers, 2, 1, kv_heads, prefix, head_dim) before so many tokens, one after another
  #   cache: none, or one (layers, 2, slots, kv_heads, capacity, head_dim)
  #   decode: whether each sequence has one new token and all together fill the first slots of the cache
  #   train: whether a backward pass may follow; then neither cache nor prefixes
  def run(self, x: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int], dropout: float, lens: List[int], past: List[int],
          slots: List[int], prefixes: List[Tensor], sharers: List[int], cache: List[Tensor], decode: bool, train: bool) -> __torch__.Run:
    cos, sin, = self.angles(positions, totals, x)
    seen = annotate(List[Tensor], [])
    if decode:
      slot = torch.tensor(slots, device=ops.prim.device(x))
      own = torch.tensor(past, device=ops.prim.device(x))
      order = torch.argsort(slot)
      capacity = torch.size(cache[0], 4)          # all that a slot can hold: no sum's order depends on how long the others are
      before = torch.unsqueeze(torch.index_select(own, 0, order), 1) - torch.arange(capacity, device=ops.prim.device(x))
      before = torch.view(before, [-1, 1, 1, capacity])
      window = ops.prim.max(self.windows)
      seen = [slot, own, order, self.low(before < 0, x), self.low(torch.__or__(before < 0, before >= window), x)]
    masks, longest = annotate(List[Tensor], []), ops.prim.max(lens)
    behind = torch.len(prefixes) > 0 and not decode and ops.prim.max(past) == 0 and ops.prim.max(self.windows) == 0 and torch.eq(ops.prim.dtype(x), 15)
    if (train or behind) and longest <= 512 and self.score_softcap == 0. and torch.eq(ops.prim.type(ops.prim.device(x)), "cpu"):
      masks = self.masks(longest, x)
    return __torch__.Run(cos, sin, positions, self.spans(adapters, spans, dropout), lens, past, slots, prefixes, sharers, cache, seen, masks)

  # The last layer's output after the final norm (tokens, hidden)
  def hidden(self, ids: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int], dropout: float, lens: List[int], past: List[int],
             slots: List[int], prefixes: List[Tensor], sharers: List[int], cache: List[Tensor], decode: bool, train: bool) -> Tensor:
    x = self.embed(ids, positions, adapters, spans)
    run = self.run(x, positions, totals, adapters, spans, dropout, lens, past, slots, prefixes, sharers, cache, decode, train)
    for i in range(self.layers()):
      x = self.layer(i, x, run)
    return self.norms(self.layers(), "norm", x, run.whose)

  # Logits (tokens, vocab) in float32 of h (tokens, hidden), all of one adapter or with one vocabulary
  def head(self, h: Tensor, whose: __torch__.Spans) -> Tensor:
    logits = self.linear(self.layers(), "head", h, whose)
    if self.logit_softcap > 0.:
      logits = torch.tanh(logits / self.logit_softcap) * self.logit_softcap
    return torch.to(logits, 6)

  # Logits (rows, vocab) of some tokens. h (tokens, hidden): the result of hidden; rows (rows,) int64; adapters, spans: whose rows they are.
  # An adapter may have a vocabulary of its own: in a larger one's columns the others have minus infinity.
  def logits(self, h: Tensor, rows: Tensor, adapters: List[str], spans: List[int]) -> Tensor:
    x, whose = torch.index_select(h, 0, rows), self.spans(adapters, spans, 0.)
    if torch.len(whose.own) == 0:
      y = self.head(x, whose)
    else:
      ys, begin, vocab = annotate(List[Tensor], []), 0, 0
      for n in range(torch.len(adapters)):
        yn = self.head(torch.narrow(x, 0, begin, spans[n]), self.spans([adapters[n]], [spans[n]], 0.))
        vocab = ops.prim.max(vocab, torch.size(yn, 1))
        _ = torch.append(ys, yn)
        begin = begin + spans[n]
      wide = annotate(List[Tensor], [])
      for yn in ys:
        _ = torch.append(wide, torch.constant_pad_nd(yn, [0, vocab - torch.size(yn, 1)], float("-inf")))
      y = torch.cat(wide, 0)
    return y

  # The likeliest next token (rows,)
  def likeliest(self, logits: Tensor) -> Tensor:
    return torch.argmax(logits, -1)

  # The logits of ids that were there before made less likely (Keskar et al. 2019, arXiv 1909.05858). ids (rows, any) int64
  def penalize(self, logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    score = torch.gather(logits, 1, ids)
    return torch.scatter(logits, 1, ids, torch.where(score < 0., score * penalty, score / penalty))

  # A next token (rows,) drawn as transformers does: of the top_k likeliest (0: all), of those the fewest that hold top_p of the probability, of
  # those the ones that have min_p of the likeliest's. u (rows,) uniform in [0, 1) picks it, so that a sequence's draws depend on nobody else's
  def sample(self, logits: Tensor, u: Tensor, temperature: float, top_k: int, top_p: float, min_p: float) -> Tensor:
    logits = logits / temperature
    size = torch.size(logits, -1)
    k = ops.prim.min(top_k, size) if top_k > 0 else size
    logits, tokens, = torch.topk(logits, k, -1, True, True)                       # from the likeliest on
    p = torch.softmax(logits, -1, 7)
    below = torch.cumsum(p, -1) - p
    p = torch.masked_fill(p, torch.__and__(below >= top_p, below > 0.), 0.)
    p = torch.masked_fill(p, p < torch.narrow(p, -1, 0, 1) * min_p, 0.)
    sums = torch.cumsum(p, -1)
    at = torch.searchsorted(sums, torch.unsqueeze(torch.to(u, 7), 1) * torch.narrow(sums, -1, k - 1, 1), right=True)
    return torch.squeeze(torch.gather(tokens, -1, torch.clamp(at, None, k - 1)), -1)

  # The sum of -log p(labels[k] | everything up to token rows[k]), a scalar in float32. labels (rows,) int64
  def loss(self, h: Tensor, rows: Tensor, labels: Tensor, adapter: str, dropout: float) -> Tensor:
    return self.loss_of_rows(torch.index_select(h, 0, rows), 0, torch.size(rows, 0), labels, adapter, dropout)

  # The same of some rows of what the head reads (rows, hidden)
  def loss_of_rows(self, h: Tensor, begin: int, size: int, labels: Tensor, adapter: str, dropout: float) -> Tensor:
    logits = self.head(torch.narrow(h, 0, begin, size), self.spans([adapter], [size], dropout))
    return torch.cross_entropy_loss(logits, torch.narrow(labels, 0, begin, size), None, 2, -100, 0.)

  def add(self, sum: Tensor, x: Tensor) -> None:
    _ = torch.add_(sum, x)

  # What the head reads of some tokens (rows, hidden), with autograd's record of how it came to be
  def answers(self, h: Tensor, rows: Tensor) -> Tensor:
    return torch.index_select(h, 0, rows)

  # The sum of -log p(labels[k]) (), float32, and the gradient of scale times it with respect to h (rows, hidden), (softmax - one-hot) times the
  # head, and to the head (vocab, hidden) where it is trained, else (0,). All at once and some rows at a time, so that logits never stand whole,
  # and never wait for a backward pass.
  def head_gradient(self, h: Tensor, labels: Tensor, scale: float) -> Tuple[Tensor, Tensor, Tensor]:
    w, whose = self.outer()["head"], self.spans([""], [torch.size(h, 0)], 0.)
    trained = ops.prim.requires_grad(w)
    of_head = torch.new_zeros(w, torch.size(w) if trained else [0])
    n = torch.size(h, 0)
    rows = ops.prim.max(16, torch.floordiv(4194304, torch.size(w, 0)))
    loss = torch.zeros([], dtype=6, device=ops.prim.device(h))
    gradient = torch.empty_like(h)
    for part in range(torch.floordiv(n + rows - 1, rows)):
      begin = part * rows
      size = ops.prim.min(rows, n - begin)
      label = torch.narrow(labels, 0, begin, size)
      logits = self.head(torch.narrow(h, 0, begin, size), whose)                          # (size, vocab) float32
      log_p = torch.log_softmax(logits, -1)
      loss = loss + torch.nll_loss_nd(log_p, label, None, 2, -100)
      g = torch.exp_(log_p)
      _ = torch.scatter_add_(g, 1, torch.unsqueeze(label, 1), torch.full([size, 1], -1., dtype=6, device=ops.prim.device(h)))
      if self.logit_softcap > 0.:
        g = g * (1. - torch.square(logits / self.logit_softcap))
      g = torch.type_as(torch.mul_(g, scale), w)
      _ = torch.copy_(torch.narrow(gradient, 0, begin, size), torch.matmul(g, w))
      if trained:
        _ = torch.addmm_(of_head, torch.t(g), torch.narrow(h, 0, begin, size))
    return (loss, gradient, of_head)

  # The head, as a result whose gradient is the head's
  def head_weight(self) -> Tensor:
    return torch.view_as(self.outer()["head"], self.outer()["head"])

  # Activation checkpointing (Chen et al. 2016, arXiv 1604.06174) runs the layers one by one, from embed to what the head reads
  def one_layer(self, i: int, x: Tensor, positions: Tensor, totals: Tensor, adapters: List[str], spans: List[int], dropout: float, lens: List[int],
                past: List[int], slots: List[int], prefixes: List[Tensor], sharers: List[int], cache: List[Tensor], decode: bool, train: bool) -> Tensor:
    return self.layer(i, x, self.run(x, positions, totals, adapters, spans, dropout, lens, past, slots, prefixes, sharers, cache, decode, train))

  def finish(self, rows: Tensor, x: Tensor, adapter: str) -> Tensor:
    return self.norms(self.layers(), "norm", torch.index_select(x, 0, rows), self.spans([adapter], [torch.size(rows, 0)], 0.))

  # log p(labels[k] | everything up to token rows[k]) (rows,), float32. Some rows at a time: logits never stand whole, and a piece of 16 MB is
  # memory that malloc has at hand, where more would be mapped anew, page by page.
  def logprobs(self, h: Tensor, rows: Tensor, labels: Tensor, adapter: str) -> Tensor:
    parts = annotate(List[Tensor], [])
    most, n = ops.prim.max(16, torch.floordiv(4194304, torch.size(self.outer()["head"], 0))), torch.size(rows, 0)
    for part in range(torch.floordiv(n + most - 1, most)):
      begin = part * most
      size = ops.prim.min(most, n - begin)
      logits = self.logits(h, torch.narrow(rows, 0, begin, size), [adapter], [size])
      label = torch.unsqueeze(torch.narrow(labels, 0, begin, size), 1)
      _ = torch.append(parts, torch.squeeze(torch.gather(logits, 1, label), 1) - torch.logsumexp(logits, [-1]))
    return torch.cat(parts, 0)

  # theta^(-2 i / dim), i < dim / 2, computed as transformers does, so that the last bit agrees
  def inv_freq(self, theta: float, dim: int) -> Tensor:
    return torch.reciprocal(torch.pow(theta, torch.to(torch.arange(0, dim, 2, dtype=4), 6) / dim))

  # Moves what a sequence has in one slot of the cache to another
  def move(self, cache: Tensor, source: int, target: int, tokens: int) -> None:
    _ = torch.copy_(torch.narrow(torch.select(cache, 2, target), 3, 0, tokens), torch.narrow(torch.select(cache, 2, source), 3, 0, tokens))

  # A cache of the weights' type
  def zeros(self, shape: List[int]) -> Tensor:
    return torch.new_zeros(self.outer()["embedding"], shape)
