package io.safelora.contract;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class JobUrisTest {
    @Test
    void everyFieldThatNamesDataIsFound() {
        assertThat(JobUris.of(JobDocument.tree("""
                                name: base
                                base: models/base
                                aligned: s3://models/aligned
                                adapter: adapter
                                training: {data: rows.jsonl, safety_data: safe.jsonl, validation_data: \
                                held-out.jsonl, r: 4}
                                selection: {repair: safe-merge, safety_adapter: safe-adapter}
                                evaluation:
                                  - {task: gsm8k, data: test.jsonl, fewshot_data: shots.jsonl}
                                  - {task: harmfulness, data: harm.csv}
                                """)))
                .extracting(JobUris.Field::path)
                .containsExactlyInAnyOrder(
                        "base",
                        "aligned",
                        "adapter",
                        "training.data",
                        "training.safety_data",
                        "training.validation_data",
                        "selection.safety_adapter",
                        "evaluation[0].data",
                        "evaluation[0].fewshot_data",
                        "evaluation[1].data");
    }

    @Test
    void whatIsNotAJobHasNone() {
        for (String document : new String[] {"[]", "text", "{base: {a: b}, training: [1], evaluation: {data: x}}"}) {
            assertThat(JobUris.of(JobDocument.tree(document))).isEmpty();
        }
    }
}
