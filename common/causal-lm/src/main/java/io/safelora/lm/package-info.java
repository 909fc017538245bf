/**
 * Hugging Face causal language models: {@link io.safelora.lm.CausalLm} loads one, with adapters on it, and closes it.
 *
 * <ul>
 *   <li>What it is: {@code families.json} (how families differ), {@link io.safelora.lm.ModelConfig} (config.json),
 *       {@code StoredWeights}, {@link io.safelora.lm.Lora}.
 *   <li>What is computed: {@code Decoder}, the typed caller of the kernels in decoder.torchscript, and {@code Batch},
 *       the tokens that run through its layers together.
 *   <li>What is done with it: {@code Scorer} (log-probabilities), {@code Generator} with {@code Sampler} and
 *       {@code KvCache} (decoding), {@link io.safelora.lm.TrainingPass} (loss and gradients).
 *   <li>Text: {@link io.safelora.lm.Tokenizer}, {@link io.safelora.lm.ChatTemplate}.
 *   <li>Files: {@link io.safelora.lm.ModelFiles}, {@link io.safelora.lm.ModelWriter}, {@link io.safelora.lm.Merger}.
 * </ul>
 */
package io.safelora.lm;
