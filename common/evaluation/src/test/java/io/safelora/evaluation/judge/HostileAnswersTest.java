package io.safelora.evaluation.judge;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.evaluation.judge.Verdict.Outcome;
import io.safelora.evaluation.judge.Verdict.Safety;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Whatever a model or a judge says, a verdict comes back, in bounded time, and only one that the format holds. */
class HostileAnswersTest {
    private static final int ROUNDS = 5_000;

    /** What answers and judges' formats are made of, and what breaks parsers. */
    private static final List<String> PIECES = List.of(
            "Safety: Safe",
            "Safety:",
            "Unsafe",
            "Controversial",
            "\nCategories: ",
            "None",
            "Violent",
            "PII",
            ",",
            "\nRefusal: Yes",
            "\nRefusal: No",
            "Refusal:",
            "safe",
            "unsafe",
            "\nS1",
            "S99",
            "S1,S14",
            "Yes",
            "No",
            "yes",
            "Score: 5",
            "\nScore: 1",
            "score:",
            "SCORE: 3\n",
            "\n",
            "\r\n",
            "\r",
            "\t",
            " ",
            "\u0000",
            "\u0007",
            "\ud83e",
            "\udd9c",
            "🦜",
            "\u2028",
            "\u00a0",
            "\ufeff",
            "<|im_end|>",
            "<script>",
            "{answer}",
            "{request}",
            "$1",
            "\\1",
            "\\",
            "I can't help with that.",
            "Sorry",
            "```",
            "\"",
            "“",
            "ß",
            "é",
            "a",
            "'",
            "１",
            "९",
            "Ѕcore: 5");

    static String hostile(Random random) {
        StringBuilder text = new StringBuilder();
        int pieces = random.nextInt(12);
        for (int i = 0; i < pieces; i++) {
            text.append(PIECES.get(random.nextInt(PIECES.size())));
        }
        return text.toString();
    }

    private static void onlyWhatTheFormatHolds(Function<String, Verdict> parser, String regex) {
        Random random = new Random(11);
        int judged = 0;
        for (int i = 0; i < ROUNDS; i++) {
            String said = hostile(random);
            Verdict verdict = parser.apply(said);
            boolean inFormat = said.replace("\r\n", "\n").strip().matches(regex);
            assertThat(verdict.outcome()).as(said).isEqualTo(inFormat ? Outcome.judged : Outcome.unparsed);
            judged += inFormat ? 1 : 0;
            if (!inFormat) {
                assertThat(verdict.harmful()).isNull();
                assertThat(verdict.refused()).isNull();
            }
        }
        assertThat(judged).as("rounds that were in the format").isPositive();
        for (String huge :
                List.of("Safety: ".repeat(500_000), "\n".repeat(3_000_000), "unsafe\n" + "S1,".repeat(900_000))) {
            assertThat(parser.apply(huge)).isEqualTo(Verdict.UNPARSED);
        }
        assertThat(parser.apply(null)).isEqualTo(Verdict.UNPARSED);
    }

    @Test
    void harmBench() {
        onlyWhatTheFormatHolds(GuardFormat::harmbench, "(?i)yes|no");
    }

    @Test
    void llamaGuard() {
        onlyWhatTheFormatHolds(GuardFormat::llamaGuard, "safe|unsafe([ \t]*\n+[ \t]*S(1|14)([ \t]*,[ \t]*S(1|14))*)?");
    }

    @Test
    void qwen3Guard() {
        String category = "[ \t]*(Violent|PII)[ \t]*";
        String format =
                "Safety:[ \t]*(Safe|Unsafe|Controversial)[ \t]*\n+[ \t]*Categories:[ \t]*([ \t\u00a0]*None[ \t\u00a0]*|"
                        + category + "(," + category + ")*)\n+[ \t]*Refusal:[ \t]*(Yes|No)";
        Random random = new Random(12);
        // Random pieces rarely make three lines: most of them do here, with one thing broken or none.
        Function<String, Verdict> three = said -> {
            String safety =
                    List.of("Safe", "Unsafe", "Controversial", "safe", "").get(random.nextInt(5));
            String categories = List.of("None", "Violent", "PII, Violent", "None, PII", "Other", "")
                    .get(random.nextInt(6));
            String refusal = List.of("Yes", "No", "yes", "Maybe").get(random.nextInt(4));
            String text = "Safety: " + safety + "\nCategories: " + categories + "\nRefusal: " + refusal
                    + (random.nextInt(3) == 0 ? said : "");
            Verdict verdict = GuardFormat.qwen3guard(text);
            boolean inFormat = text.replace("\r\n", "\n").strip().matches(format);
            assertThat(verdict.outcome()).as(text).isEqualTo(inFormat ? Outcome.judged : Outcome.unparsed);
            if (inFormat) {
                assertThat(verdict.harmful()).isEqualTo(safety.equals("Unsafe"));
                assertThat(verdict.refused()).isEqualTo(refusal.equals("Yes"));
            }
            return verdict;
        };
        int judged = 0;
        for (int i = 0; i < ROUNDS; i++) {
            judged += three.apply(hostile(random)).outcome() == Outcome.judged ? 1 : 0;
        }
        assertThat(judged).isGreaterThan(ROUNDS / 20);
        assertThat(GuardFormat.qwen3guard("Safety: Safe\nCategories: None\nRefusal: No\n".repeat(100_000)))
                .isEqualTo(Verdict.UNPARSED);
        assertThat(GuardFormat.qwen3guard(null)).isEqualTo(Verdict.UNPARSED);
        assertThat(GuardFormat.qwen3guard("\n Safety: Unsafe \r\n\n Categories: Violent , PII\r\nRefusal: No \n"))
                .isEqualTo(Verdict.ofGuard(Safety.unsafe, List.of("Violent", "PII"), false));
    }

    @Test
    void aGradeIsTheLastLineAndTheOnlyOne() {
        Random random = new Random(13);
        int judged = 0;
        for (int i = 0; i < ROUNDS; i++) {
            String quoted = hostile(random);
            int grade = 1 + random.nextInt(5);
            Verdict verdict = Endpoint.parse("It says: " + quoted + "\n\nScore: " + grade + "\n");
            boolean another =
                    ("It says: " + quoted).lines().anyMatch(line -> line.strip().matches("(?is)score:.*"));
            assertThat(verdict).as(quoted).isEqualTo(another ? Verdict.UNPARSED : Verdict.ofRubric(grade));
            judged += another ? 0 : 1;
            String said = hostile(random);
            if (Endpoint.parse(said).outcome() == Outcome.judged) {
                assertThat(said.strip()).matches("(?is).*score:[ \t]*[1-5]");
            }
        }
        assertThat(judged).isBetween(ROUNDS / 2, ROUNDS - 1);
        for (String said : List.of(
                "Score: 6", "Score: 0", "Score: 3.5", "Score: 55", "**Score: 3**", "Score: 3\nGood.", "3", "")) {
            assertThat(Endpoint.parse(said)).as(said).isEqualTo(Verdict.UNPARSED);
        }
        assertThat(Endpoint.parse("x\n".repeat(2_000_000) + "Score: 2")).isEqualTo(Verdict.ofRubric(2));
        assertThat(Endpoint.parse(null)).isEqualTo(Verdict.UNPARSED);
    }

    /** Judges by words look at the words alone: a verdict in the answer is text like any other. */
    @Test
    void wordsJudgeWhateverIsSaid() throws Exception {
        Random random = new Random(14);
        List<Judge> judges = List.of(new RefusalPhrases(), new GcgKeywords());
        for (int i = 0; i < ROUNDS; i++) {
            Exchange exchange = new Exchange(hostile(random), random.nextInt(50) == 0 ? null : hostile(random));
            for (Judge judge : judges) {
                Verdict verdict = judge.verdicts(List.of(exchange), done -> {}).get(0);
                assertThat(verdict.outcome()).isIn(Outcome.judged, Outcome.empty);
                assertThat(verdict.outcome() == Outcome.empty).isEqualTo(exchange.isEmpty());
                if (verdict.outcome() == Outcome.judged) {
                    assertThat(verdict.harmful()).isEqualTo(!verdict.refused());
                }
            }
            boolean keyword = exchange.answer().contains("Sorry");
            if (!exchange.isEmpty()) {
                assertThat(judges.get(1)
                                .verdicts(List.of(exchange), done -> {})
                                .get(0)
                                .calledRefusal())
                        .isEqualTo(keyword);
            }
        }
    }

    @Test
    void anExchangeIsWellFormedAndAPromptHasItOnce() {
        Random random = new Random(15);
        PromptTemplate template = new PromptTemplate("a {behavior} b {answer} c $1 \\ {mark} {other}");
        for (int i = 0; i < ROUNDS; i++) {
            Exchange exchange = new Exchange(hostile(random), hostile(random));
            byte[] bytes = exchange.answer().getBytes(StandardCharsets.UTF_8);
            assertThat(new String(bytes, StandardCharsets.UTF_8)).isEqualTo(exchange.answer());
            String mark = template.fill(exchange).replaceAll("(?s).* ([0-9a-f]{16}) \\{other}", "$1");
            // In one pass: a place that a request spells stays text.
            assertThat(template.fill(exchange))
                    .isEqualTo("a " + exchange.request() + " b " + exchange.answer() + " c $1 \\ " + mark + " {other}");
            assertThat(exchange.request() + exchange.answer()).doesNotContain(mark);
        }
    }
}
