package io.safelora.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

class TaskFileTest {
    private static final List<String> BUILT_IN = TaskFile.BUILT_IN;

    private static final String MINIMAL =
            "task: own\ndoc_to_text: '{{question}}'\nmetric_list: [{metric: exact_match}]\n";

    @ParameterizedTest
    @FieldSource("BUILT_IN")
    void everyTaskIsAFileOfItsName(String name) {
        assertThat(TaskFile.builtIn(name).task()).isEqualTo(name);
    }

    @Test
    void everyFileIsATask() throws Exception {
        try (Stream<Path> files =
                Files.list(Path.of(TaskFile.class.getResource("tasks").toURI()))) {
            assertThat(files.map(file -> file.getFileName().toString().replace(".yaml", "")))
                    .containsExactlyInAnyOrderElementsOf(BUILT_IN);
        }
    }

    /** What lm-evaluation-harness writes otherwise, or writes and we do not need. */
    @Test
    void aFileOfTheHarnessIsReadAsItIs() {
        TaskFile file = TaskFile.parse("""
                tag: [a]
                task: copa_like
                dataset_path: x/y
                dataset_name: main
                training_split: train
                output_type: multiple_choice
                doc_to_text: "{{premise}}"
                doc_to_target: 1
                doc_to_choice: ["no \\"so\\"", "yes"]
                repeats: 1
                generation_kwargs: {until: "\\n"}
                metric_list:
                  - metric: acc
                    aggregation: mean
                    higher_is_better: true
                metadata: {version: 1.0}
                """, "copa.yaml");
        assertThat(file.docToChoice()).isEqualTo("{{ [\"no \\\"so\\\"\",\"yes\"] }}");
        assertThat(file.docToTarget()).isEqualTo("1");
        assertThat(file.generationKwargs().until()).containsExactly("\n");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "doc_to_txt: x | doc_to_txt: is not a field of a task file; did you mean doc_to_text?",
                "include: a.yaml | include: is not a field of a task file",
                "repeats: 3 | repeats: is not a field of a task file",
                "task: 'a b' | task is given twice",
                "output_type: generate | output_type: must be one of generate_until, multiple_choice, loglikelihood",
                "output_type: multiple_choice | doc_to_target: is missing, and multiple_choice needs it",
                "output_type: loglikelihood | doc_to_target: is missing, and loglikelihood needs it",
                "messages: [{role: user, content: a}, {role: assistant, content: b}] | "
                        + "messages[1]: the last turn is the user's",
                "messages: [{role: user, content: a}, {role: system, content: b}] | "
                        + "messages[1]: a system message comes first",
                "messages: [{role: robot, content: a}] | messages[0].role: must be one of system, user, assistant",
                "generation_kwargs: {do_sample: true} | generation_kwargs.do_sample: answers are greedy",
                "generation_kwargs: {max_gen_toks: 100000} | generation_kwargs.max_gen_toks: must be at most 4096",
                "fewshot_delimiter: '' | generation_kwargs.until: is missing, and "
                        + "fewshot_delimiter, its default, is empty",
                "filter_list: [{name: a, filter: [{function: regexp}]}] | "
                        + "filter_list[0].filter[0].function: must be one of regex",
                "filter_list: [{name: a, filter: [{function: regex}]}] | "
                        + "filter_list[0].filter[0].regex_pattern: is missing",
                "filter_list: [{name: a, filter: [{function: lowercase, fallback: x}]}] | "
                        + "filter_list[0].filter[0]: regex_pattern, group_select",
                "filter_list: [{name: a, filter: [{function: lowercase}]}, {name: a, filter: "
                        + "[{function: lowercase}]}] | filter_list[1].name: a is given twice",
            })
    void whatIsWrongIsNamed(String field, String message) {
        assertThatThrownBy(() -> TaskFile.parse(MINIMAL + field + "\n", "own.yaml"))
                .isInstanceOf(InvalidJobException.class)
                .hasMessageStartingWith("own.yaml: ")
                .hasMessageContaining(message)
                .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
    }

    @Test
    void whatIsMissingIsNamed() {
        assertThatThrownBy(() -> TaskFile.parse("task: own\nmetric_list: [{metric: acc}]", "own.yaml"))
                .hasMessage("own.yaml: doc_to_text: is missing; give it, or messages");
        assertThatThrownBy(() -> TaskFile.parse("", "own.yaml"))
                .hasMessage("own.yaml: a task file is a mapping of fields, but this is empty or something else");
        assertThatThrownBy(() -> TaskFile.parse("{", "own.yaml"))
                .hasMessageStartingWith("own.yaml is neither YAML nor JSON");
    }

    @Test
    void aFileIsBounded() {
        assertThatThrownBy(() -> TaskFile.parse(MINIMAL + "#".repeat(300_000), "own.yaml"))
                .hasMessageContaining("own.yaml: has ")
                .hasMessageContaining("at most 200000");
        assertThatThrownBy(() -> TaskFile.parse(MINIMAL + "metadata: " + "[".repeat(1000), "own.yaml"))
                .isInstanceOf(InvalidJobException.class);
    }
}
