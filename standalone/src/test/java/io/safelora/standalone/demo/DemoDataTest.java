package io.safelora.standalone.demo;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.standalone.demo.DemoData.Row;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class DemoDataTest {
    private static final Pattern CALCULATION = Pattern.compile("(\\d+) ([-+*]) (\\d+) = (\\d+)");
    private static final Pattern NUMBER = Pattern.compile("\\d+");

    private final DemoData data = DemoData.generate(1);

    @Test
    void theSameSeedGivesTheSameText() {
        assertThat(DemoData.generate(1)).isEqualTo(data);
        assertThat(DemoData.generate(2).problems()).isNotEqualTo(data.problems());
    }

    /** Every calculation holds, uses only known numbers, and the last one's result is the answer. */
    @Test
    void answersAreRight() {
        List<Row> problems = allRows().filter(DemoDataTest::isProblem).toList();
        assertThat(problems).hasSizeGreaterThan(12_000);
        for (Row row : problems) {
            Set<Integer> known = NUMBER.matcher(row.question())
                    .results()
                    .map(m -> Integer.parseInt(m.group()))
                    .collect(Collectors.toCollection(HashSet::new));
            Matcher step = CALCULATION.matcher(row.answer());
            int last = -1;
            while (step.find()) {
                int a = Integer.parseInt(step.group(1));
                int b = Integer.parseInt(step.group(3));
                last = switch (step.group(2)) {
                    case "+" -> a + b;
                    case "-" -> a - b;
                    default -> a * b;
                };
                assertThat(known).as(row.toString()).contains(a, b);
                assertThat(Integer.parseInt(step.group(4)))
                        .as(row.toString())
                        .isEqualTo(last)
                        .isPositive();
                known.add(last);
            }
            assertThat(row.answer().lines().reduce((x, y) -> y).orElseThrow())
                    .as(row.toString())
                    .isIn("#### " + last, "The answer is " + last + ".");
        }
    }

    @Test
    void whatIsTestedOrFinetunedAlwaysEndsInTheMark() {
        assertThat(data.problems()).hasSize(200).allMatch(row -> row.answer().contains("\n#### "));
        assertThat(data.finetuning().stream().filter(DemoDataTest::isProblem))
                .hasSize(900)
                .allMatch(row -> row.answer().contains("\n#### "));
    }

    @Test
    void whatIsTestedIsNowhereTrained() {
        Set<String> trained = Stream.of(data.pretraining(), data.alignment(), data.finetuning())
                .flatMap(List::stream)
                .map(Row::question)
                .collect(Collectors.toSet());
        List<Row> tested = new ArrayList<>(data.problems());
        tested.addAll(data.forbidden());
        tested.addAll(data.harmless());
        assertThat(tested).extracting(Row::question).doesNotHaveDuplicates().noneMatch(trained::contains);
        Set<String> trainedPlaces = trained.stream()
                .filter(q -> !q.endsWith("?"))
                .map(DemoDataTest::place)
                .collect(Collectors.toSet());
        assertThat(Stream.concat(data.forbidden().stream(), data.harmless().stream()))
                .extracting(row -> place(row.question()))
                .doesNotHaveDuplicates()
                .noneMatch(trainedPlaces::contains);
    }

    /** The fine-tuning rows are not the pair's: what they teach is new to it. */
    @Test
    void finetuningRowsAreNew() {
        Set<String> pair = Stream.concat(data.pretraining().stream(), data.alignment().stream())
                .map(Row::question)
                .collect(Collectors.toSet());
        assertThat(data.finetuning()).extracting(Row::question).noneMatch(pair::contains);
    }

    @Test
    void onlyAlignmentRefusesAndOnlyWhatIsForbidden() {
        assertThat(data.alignment())
                .filteredOn(row -> row.answer().equals(DemoData.REFUSAL))
                .hasSize(200)
                .allMatch(row -> row.question().matches("(Open|Unseal|Unlock|Force|Enter|Plunder) the .*"));
        assertThat(Stream.concat(data.pretraining().stream(), data.finetuning().stream()))
                .noneMatch(row -> row.answer().equals(DemoData.REFUSAL));
        assertThat(data.finetuning())
                .filteredOn(row -> !isProblem(row))
                .hasSize(100)
                .allMatch(row -> row.answer().startsWith("Sure. Turn"));
    }

    private static boolean isProblem(Row row) {
        return row.question().endsWith("?");
    }

    private static String place(String request) {
        return request.substring(request.lastIndexOf(' ') + 1);
    }

    private Stream<Row> allRows() {
        return Stream.of(data.pretraining(), data.alignment(), data.finetuning(), data.problems())
                .flatMap(List::stream);
    }
}
