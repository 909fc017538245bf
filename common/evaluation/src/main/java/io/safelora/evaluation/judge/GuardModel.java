package io.safelora.evaluation.judge;

import io.safelora.contract.InvalidInputException;
import io.safelora.lm.CausalLm;
import io.safelora.lm.GenerationOptions;
import io.safelora.lm.ModelFiles;
import io.safelora.lm.Tokenizer;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.regex.Pattern;

/** A guard model that runs here. It has its own memory until it is closed. */
final class GuardModel implements Judge {
    /** Characters that a token stands for, at most, in any text worth judging. */
    private static final int CHARS_PER_TOKEN = 16;

    /** How often special tokens are taken out of a text: taking one out may make another. */
    private static final int PASSES = 100;

    private static final Pattern SIGNS = Pattern.compile("[^\\p{L}\\p{M}\\p{N}\\s.,;:!?'\"-]");

    private final String id;
    private final GuardFormat format;
    private final CausalLm model;
    private final int batchSize;
    private final String templateSha256;

    /** @param model closed with this judge */
    GuardModel(String id, GuardFormat format, CausalLm model, int batchSize) {
        this.id = id;
        this.format = format;
        this.model = model;
        this.batchSize = batchSize;
        this.templateSha256 = Resources.sha256(format.prompt().text(model.files(), GuardPrompt.PLACES));
    }

    @Override
    public String id() {
        return id;
    }

    /** Of the prompt with {@code {request}} and {@code {answer}} in place of an exchange. */
    @Override
    public String templateSha256() {
        return templateSha256;
    }

    @Override
    public List<Verdict> judge(List<Exchange> exchanges, IntConsumer done) {
        List<int[]> prompts = exchanges.stream().map(this::prompt).toList();
        List<int[]> answers =
                model.generate(prompts, new GenerationOptions(format.maxNewTokens(), List.of(), batchSize), null, done);
        return answers.stream()
                .map(ids -> format.parser().apply(model.tokenizer().decode(ids, true)))
                .toList();
    }

    /**
     * An exchange as the model gets it. An answer that is too long for the model loses its end.
     *
     * @throws InvalidInputException if the request alone is too long
     */
    int[] prompt(Exchange exchange) {
        ModelFiles files = model.files();
        int room = files.config().maxPositionEmbeddings() - format.maxNewTokens();
        String request = withoutSpecialTokens(files.tokenizer(), cut(exchange.request(), room * CHARS_PER_TOKEN));
        String answer = withoutSpecialTokens(files.tokenizer(), cut(exchange.answer(), room * CHARS_PER_TOKEN));
        while (true) {
            int[] ids = format.prompt().encode(files, format.prompt().text(files, new Exchange(request, answer)));
            if (ids.length <= room) {
                return ids;
            }
            if (answer.isEmpty()) {
                throw new InvalidInputException("judge " + id + ": a request of "
                        + exchange.request().length() + " characters leaves no room for an answer in its "
                        + files.config().maxPositionEmbeddings()
                        + " positions; take the request out, or another judge");
            }
            int length = (int) ((long) answer.length() * room / ids.length);
            answer = cut(answer, Math.max(0, Math.min(length, answer.length() - 1)));
        }
    }

    /** The first characters, without half of a surrogate pair. */
    private static String cut(String text, int length) {
        if (text.length() <= length) {
            return text;
        }
        boolean half = length > 0 && Character.isHighSurrogate(text.charAt(length - 1));
        return text.substring(0, half ? length - 1 : length);
    }

    /**
     * A text that spells special tokens would end its turn and speak for the judge. They are taken out; any other text
     * stays as it is.
     */
    static String withoutSpecialTokens(Tokenizer tokenizer, String text) {
        String plain = text;
        for (int pass = 0; pass < PASSES; pass++) {
            int[] ids = tokenizer.encode(plain, false);
            String without = tokenizer.decode(ids, true);
            if (without.equals(tokenizer.decode(ids, false))) {
                return plain;
            }
            plain = without;
        }
        // One inside the other, a hundred deep: no text that somebody means.
        return SIGNS.matcher(plain).replaceAll(" ");
    }

    @Override
    public void close() {
        model.close();
    }
}
