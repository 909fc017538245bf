package io.safelora.lm;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.safelora.contract.InvalidInputException;
import io.safelora.lm.GenerationOptions.Sampling;
import io.safelora.lm.Prefixes.Group;
import io.safelora.torch.Tensors;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntConsumer;

/**
 * Continues many texts together. Sequences sit in the first slots of a cache; one that ends leaves its slot to the
 * last, and the next text enters at once. What texts begin with alike is computed once per adapter. The memory is
 * claimed before anything is computed.
 */
final class Generator implements AutoCloseable {
    private final CausalLm model;
    private final Decoder decoder;
    private final KvCache caches;
    private final GenerationOptions options;
    private final List<GenerationRequest> requests;
    private final NDManager manager;
    private final Deque<Waiting> waiting = new ArrayDeque<>();
    private final List<Running> running = new ArrayList<>();
    private final NDArray cache;
    private final int places;
    private final int[][] answers;

    /** Keys and values of what the members of a group begin with, computed when the first of them enters. */
    private final class Shared {
        private final Group group;
        private final int order;
        private NDManager owner;
        private NDArray keysAndValues;
        private int left;

        Shared(Group group, int order) {
            this.group = group;
            this.order = order;
            this.left = group.members().size();
        }

        NDArray keysAndValues() {
            if (group.length() > 0 && keysAndValues == null) {
                owner = manager.newSubManager();
                int[] ids = Arrays.copyOf(requests.get(group.members().get(0)).prompt(), group.length());
                keysAndValues = caches.prefix(owner, ids, group.adapter());
            }
            return keysAndValues;
        }

        void release() {
            if (--left == 0 && owner != null) {
                owner.close();
            }
        }
    }

    private record Waiting(int index, Shared shared) {}

    /** A sequence that is being continued. */
    private final class Running {
        private final int index;
        private final Shared shared;
        private final Tokenizer tokenizer;
        private final StopStrings stops;
        private final SplittableRandom random;
        private final int[] answer;
        private int slot;
        private int past;
        private int[] unseen;
        private int said;

        Running(Waiting from, int slot) {
            index = from.index;
            shared = from.shared;
            this.slot = slot;
            tokenizer = model.tokenizer(shared.group.adapter());
            stops = new StopStrings(
                    tokenizer,
                    options.stopStrings().isEmpty()
                            ? model.files().generationConfig().stopStrings()
                            : options.stopStrings());
            int[] prompt = requests.get(index).prompt();
            unseen = Arrays.copyOfRange(prompt, shared.group.length(), prompt.length);
            answer = new int[room(prompt)];
            random = options.sampling() == null
                    ? null
                    : new SplittableRandom(
                            new SplittableRandom(options.sampling().seed()).nextLong() + 0x9E3779B97F4A7C15L * index);
        }

        Batch.Part part(int[] ids) {
            int prefix = shared.group.length();
            return new Batch.Part(
                    ids,
                    prefix + past + unseen.length,
                    past,
                    slot,
                    shared.group.adapter(),
                    shared.keysAndValues(),
                    prefix);
        }

        /** Whether this was the last token. */
        boolean add(int token) {
            past += unseen.length;
            unseen = new int[] {token};
            answer[said++] = token;
            return tokenizer.isEos(token) | stops.add(token) || said == answer.length;
        }

        /** Prompt and answer, for the repetition penalty. */
        int[] seen() {
            int[] prompt = requests.get(index).prompt();
            int[] seen = Arrays.copyOf(prompt, prompt.length + said);
            System.arraycopy(answer, 0, seen, prompt.length, said);
            return seen;
        }
    }

    /** @throws InvalidInputException if the memory budget is too small for one of the texts */
    Generator(CausalLm model, List<GenerationRequest> requests, GenerationOptions options) {
        this.model = model;
        decoder = model.decoder();
        caches = model.cache();
        this.requests = requests;
        this.options = options;
        requests.forEach(request -> model.check(request.prompt(), request.adapter()));
        model.files().checkGeneration(options.sampling() != null);
        answers = new int[requests.size()][];
        List<int[]> prompts = requests.stream().map(GenerationRequest::prompt).toList();
        int[] most = prompts.stream()
                .mapToInt(p -> caches.sharesPrefixes() ? p.length - 1 : 0)
                .toArray();
        List<Group> groups = Prefixes.of(
                prompts, requests.stream().map(GenerationRequest::adapter).toList(), most);
        int capacity = 1;
        int prefixes = 0;
        for (int i = 0; i < groups.size(); i++) {
            Shared shared = new Shared(groups.get(i), i);
            prefixes = Math.max(prefixes, shared.group.length());
            for (int member : shared.group.members()) {
                waiting.add(new Waiting(member, shared));
                int[] prompt = prompts.get(member);
                capacity = Math.max(capacity, prompt.length - shared.group.length() + room(prompt));
            }
        }
        // Groups enter one after another, so that at most two prefixes per adapter are alive; all adapters may be.
        long adapters =
                groups.stream().map(g -> String.valueOf(g.adapter())).distinct().count();
        long prefixBytes = caches.bytes(prefixes) * (adapters + 1);
        long budget = options.memoryBudget() > 0 ? options.memoryBudget() : KvCache.defaultBudget();
        long slotBytes = caches.bytes(capacity);
        long fitting = (budget - prefixBytes) / slotBytes;
        if (fitting < 1) {
            throw new InvalidInputException("the longest text needs " + megabytes(slotBytes + prefixBytes)
                    + " MB for its keys and values, but the memory budget is " + megabytes(budget)
                    + " MB; shorten it, lower max_new_tokens, or raise the budget");
        }
        places = (int) Math.min(fitting, Math.min(options.batchSize(), Math.max(1, requests.size())));
        manager = model.newManager();
        cache = caches.allocate(manager, places, capacity);
    }

    private int room(int[] prompt) {
        return Math.min(options.maxNewTokens(), model.config().maxPositionEmbeddings() - prompt.length);
    }

    private static long megabytes(long bytes) {
        return (bytes + (1 << 20) - 1) >> 20;
    }

    List<int[]> run(IntConsumer done) {
        int finished = 0;
        while (!waiting.isEmpty() || !running.isEmpty()) {
            List<Running> entered = admit();
            List<Running> stepping = entered.isEmpty() ? running : entered;
            long[] tokens = step(stepping, entered.isEmpty());
            List<Running> ended = new ArrayList<>();
            for (int i = 0; i < tokens.length; i++) {
                if (stepping.get(i).add((int) tokens[i])) {
                    ended.add(stepping.get(i));
                }
            }
            for (Running sequence : ended) {
                leave(sequence);
                finished++;
                if (done != null) {
                    done.accept(finished);
                }
            }
        }
        return Arrays.asList(answers);
    }

    /** Gives free places to waiting texts; all but the last piece of long ones is run here. */
    private List<Running> admit() {
        List<Running> entered = new ArrayList<>();
        int tokens = 0;
        while (!waiting.isEmpty() && running.size() < places) {
            Waiting next = waiting.peek();
            int length = requests.get(next.index).prompt().length - next.shared.group.length();
            if (tokens > 0 && tokens + length > KvCache.MAX_TOKENS_PER_STEP) {
                break;
            }
            Running sequence = new Running(waiting.poll(), running.size());
            while (sequence.unseen.length > KvCache.MAX_TOKENS_PER_STEP) {
                int[] piece = Arrays.copyOf(sequence.unseen, KvCache.MAX_TOKENS_PER_STEP);
                try (NDManager step = manager.newSubManager()) {
                    hidden(step, Batch.prefill(List.of(sequence.part(piece)), cache));
                }
                sequence.past += piece.length;
                sequence.unseen = Arrays.copyOfRange(sequence.unseen, piece.length, sequence.unseen.length);
            }
            tokens += sequence.unseen.length;
            entered.add(sequence);
            running.add(sequence);
        }
        running.sort(Comparator.comparingInt(s -> s.shared.order));
        return entered;
    }

    private void leave(Running ended) {
        answers[ended.index] = Arrays.copyOf(ended.answer, ended.said);
        running.remove(ended);
        ended.shared.release();
        Running last =
                running.stream().max(Comparator.comparingInt(s -> s.slot)).orElse(null);
        if (last != null && last.slot > ended.slot) {
            try (NDManager step = manager.newSubManager()) {
                caches.move(step, cache, last.slot, ended.slot, last.past);
            }
            last.slot = ended.slot;
        }
    }

    /** One pass over what these sequences have not seen yet: the end of a prompt, or the last token. */
    private long[] step(List<Running> sequences, boolean decode) {
        try (NDManager step = manager.newSubManager()) {
            List<Batch.Part> parts =
                    sequences.stream().map(s -> s.part(s.unseen)).toList();
            Batch batch = decode ? Batch.decodeStep(parts, cache) : Batch.prefill(parts, cache);
            long[] last = batch.lastRows();
            NDArray rows = Tensors.of(step, last, last.length);
            NDArray logits = decoder.logits(step, hidden(step, batch), rows, batch.adapters());
            double penalty = model.files().generationConfig().repetitionPenalty();
            if (penalty != 1) {
                logits = Sampler.penalize(
                        step, logits, sequences.stream().map(Running::seen).toList(), penalty);
            }
            Sampling sampling = options.sampling();
            if (sampling == null) {
                return Sampler.likeliest(step, logits);
            }
            float[] u = new float[last.length];
            for (int i = 0; i < u.length; i++) {
                u[i] = sequences.get(i).random.nextInt(1 << 24) / (float) (1 << 24);
            }
            return Sampler.sample(step, logits, u, sampling);
        }
    }

    private NDArray hidden(NDManager step, Batch batch) {
        return decoder.hidden(step, batch.on(decoder, step, 0));
    }

    @Override
    public void close() {
        manager.close();
    }
}
