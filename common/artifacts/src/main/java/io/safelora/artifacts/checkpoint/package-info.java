/** Checkpoints and PEFT adapters as Hugging Face lays them out, read from hostile files. */
package io.safelora.artifacts.checkpoint;
