package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.safelora.contract.InvalidInputException;
import io.safelora.lm.Decoder.HeadGradient;
import io.safelora.torch.Tensors;
import io.safelora.torch.Torch;
import io.safelora.torch.TorchScript;
import java.util.ArrayList;
import java.util.List;

/** Forward and backward over sequences with labels, of a model or of one adapter on it. */
public final class TrainingPass {
    /** The label of a token without one. */
    private static final int IGNORED = -100;

    /** Elements of logits that stand at once. */
    private static final int ROWS = 4 << 20;

    private final CausalLm model;
    private final Decoder decoder;
    private final String adapter;
    private final Lora lora;

    /**
     * How a pass runs.
     *
     * @param dropout the probability that an element of an adapter's input is dropped
     * @param dropoutSeed chooses the dropped elements
     * @param gradientCheckpointing whether only the layers' inputs are kept, and each layer runs again when its turn
     *     comes (Chen et al. 2016, arXiv 1604.06174)
     */
    public record Options(double dropout, long dropoutSeed, boolean gradientCheckpointing) {}

    /** @param lora the adapter of that name; null: none, the model's weights are trained */
    TrainingPass(CausalLm model, String adapter, Lora lora) {
        this.model = model;
        decoder = model.decoder();
        this.adapter = adapter;
        this.lora = lora;
    }

    /**
     * The sum over all labelled tokens of -log p(label | what comes before), with autograd: {@link Tensors#backward} of
     * the result adds to the gradients of every tensor that requires one.
     *
     * @param step owns the result and everything between; close it after the backward pass
     * @param sequences token ids, each at least two tokens
     * @param labels of the same lengths: labels[i][t] is the token that position t - 1 of sequence i should say, or
     *     -100
     * @param dropout the probability that an element of an adapter's input is dropped
     * @return a scalar in float32
     */
    public NDArray loss(NDManager step, List<int[]> sequences, List<int[]> labels, double dropout) {
        Targets targets = Targets.of(step, labels);
        NDArray hidden = decoder.hiddenWithGrad(step, batch(step, sequences, dropout));
        return decoder.lossWithGrad(step, hidden, targets.rows, targets.labels, adapter, dropout);
    }

    /**
     * {@link #loss}, and {@link Tensors#backward} of {@code scale} times it, in one: the gradient at the head is taken
     * together with the loss, some rows at a time, so that logits (rows, vocab) never stand whole.
     *
     * @param step owns the result
     * @return the loss, not scaled, a scalar in float32 without autograd
     */
    public NDArray backward(NDManager step, List<int[]> sequences, List<int[]> labels, Options options, double scale) {
        try (NDManager scratch = step.newSubManager()) {
            Targets targets = Targets.of(scratch, labels);
            TorchScript.Value batch = batch(scratch, sequences, options.dropout());
            NDArray loss;
            if (options.gradientCheckpointing()) {
                loss = layerByLayer(scratch, batch, targets, options, scale);
            } else {
                seed(options, 0);
                NDArray hidden = decoder.hiddenWithGrad(scratch, batch);
                NDArray read = decoder.selectWithGrad(scratch, hidden, targets.rows);
                loss = headBackward(scratch, read, targets, options, scale);
            }
            loss.attach(step);
            return loss;
        }
    }

    private TorchScript.Value batch(NDManager owner, List<int[]> sequences, double dropout) {
        sequences.forEach(ids -> model.check(ids, adapter));
        return Batch.toTrain(sequences, adapter).on(decoder, owner, dropout);
    }

    /** The loss; its gradient goes on from what the head reads, and to the head where that is trained. */
    private NDArray headBackward(NDManager scratch, NDArray read, Targets targets, Options options, double scale) {
        if (lora != null && lora.adaptsHead()) {
            return adaptedHeadBackward(scratch, read, targets, options, scale);
        }
        HeadGradient head = decoder.headGradient(scratch, read, targets.labels, scale);
        Tensors.backward(read, head.ofInput());
        if (head.ofHead().size() > 0) {
            Tensors.backward(decoder.headWeightWithGrad(scratch), head.ofHead());
        }
        return head.loss();
    }

    /** The same by autograd, some rows at a time, for a head that an adapter changes. */
    private NDArray adaptedHeadBackward(
            NDManager scratch, NDArray read, Targets targets, Options options, double scale) {
        NDArray input = Tensors.clone(scratch, read);
        Tensors.requiresGrad(input, true);
        long rows = input.getShape().get(0);
        long most = Math.max(16, ROWS / lora.vocabSize());
        seed(options, model.config().numHiddenLayers());
        NDArray sum = scratch.zeros(new Shape());
        for (long begin = 0; begin < rows; begin += most) {
            try (NDManager part = scratch.newSubManager()) {
                long size = Math.min(most, rows - begin);
                NDArray loss = decoder.lossOfRowsWithGrad(
                        part, input, begin, size, targets.labels, adapter, options.dropout());
                decoder.add(part, sum, loss);
                Tensors.backward(loss, part.full(loss.getShape(), (float) scale));
            }
        }
        if (lora.adaptsBelowHead()) {
            Tensors.backward(read, Tensors.gradient(scratch, input).orElseThrow());
        }
        return sum;
    }

    private NDArray layerByLayer(
            NDManager scratch, TorchScript.Value batch, Targets targets, Options options, double scale) {
        int layers = model.config().numHiddenLayers();
        List<NDArray> inputs = new ArrayList<>();
        inputs.add(decoder.embed(scratch, batch));
        for (int i = 0; i < layers; i++) {
            seed(options, i);
            inputs.add(decoder.layer(scratch, i, inputs.get(i), batch));
        }
        NDArray top = inputs.get(layers);
        Tensors.requiresGrad(top, true);
        NDArray read = decoder.finishWithGrad(scratch, targets.rows, top, adapter);
        NDArray loss = headBackward(scratch, read, targets, options, scale);
        NDArray gradient = Tensors.gradient(scratch, top).orElseThrow();
        // Without an adapter the weights themselves are trained, down to the embedding, below the first layer.
        int lowest = lora == null ? -1 : lora.lowestLayer();
        for (int i = layers - 1; i >= Math.max(0, lowest); i--) {
            try (NDManager again = scratch.newSubManager()) {
                NDArray input = inputs.get(i);
                Tensors.requiresGrad(input, i > lowest);
                seed(options, i);
                NDArray output = decoder.layerWithGrad(again, i, input, batch);
                Tensors.backward(output, gradient);
                gradient.close();
                inputs.remove(i + 1).close();
                if (i > lowest) {
                    gradient = Tensors.gradient(scratch, input).orElseThrow();
                }
            }
        }
        if (lowest < 0) {
            Tensors.backward(decoder.embedWithGrad(scratch, batch), gradient);
        }
        return loss;
    }

    /** A layer that runs twice must drop the same elements both times. */
    private static void seed(Options options, int layer) {
        if (options.dropout() > 0) {
            Torch.seed(options.dropoutSeed() + layer);
        }
    }

    /** Where the loss looks: positions of the tokens that come before labelled ones, and these labels. */
    private record Targets(NDArray rows, NDArray labels) {
        static Targets of(NDManager step, List<int[]> labels) {
            List<Long> rows = new ArrayList<>();
            List<Long> targets = new ArrayList<>();
            long begin = 0;
            for (int[] label : labels) {
                for (int t = 1; t < label.length; t++) {
                    if (label[t] != IGNORED) {
                        rows.add(begin + t - 1);
                        targets.add((long) label[t]);
                    }
                }
                begin += label.length;
            }
            if (rows.isEmpty()) {
                throw new InvalidInputException("no token of the batch has a label, so there is nothing to learn");
            }
            return new Targets(Tensors.of(step, rows), Tensors.of(step, targets));
        }
    }
}
