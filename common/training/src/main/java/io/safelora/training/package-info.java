/**
 * Fine-tuning as PEFT and transformers' Trainer do it: {@link io.safelora.training.FineTuning} runs the steps, of a
 * LoRA adapter ({@code TrainedAdapter}) or of all weights ({@code TrainedWeights}); {@link
 * io.safelora.training.TrainingData} makes token ids and labels of rows, {@code DataOrder} shuffles them, {@code
 * MicroBatches} fits them into memory, {@code TrainingState} is what a checkpoint holds, {@link
 * io.safelora.training.ModelCard} the README beside the result.
 */
package io.safelora.training;
