package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.EvaluationTask;
import io.safelora.contract.Json;
import io.safelora.lm.ChatTemplate;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PromptTest {
    @TempDir
    Path dir;

    /** A model that was trained without thoughts is asked without. */
    @Test
    void theTemplateIsGivenTheTasksVariables() throws IOException {
        Files.writeString(
                dir.resolve("chat_template.jinja"),
                "{{ messages[0].content }}{{ ' /think' if enable_thinking is not defined or enable_thinking }}");
        ChatTemplate template = ChatTemplate.load(dir);
        Prompt prompt = Prompt.of("2 + 2?");
        assertThat(template.render(Prompt.conversation(prompt.turns(), task(null)), true))
                .isEqualTo("2 + 2? /think");
        assertThat(template.render(Prompt.conversation(prompt.turns(), task("{\"enable_thinking\": false}")), true))
                .isEqualTo("2 + 2?");
    }

    private static EvaluationTask task(String kwargs) throws IOException {
        ObjectNode json = (ObjectNode) Json.MAPPER.readTree(
                "{\"task\": \"harmfulness\", \"data\": \"s3://d\", \"apply_chat_template\": true}");
        if (kwargs != null) {
            json.set("chat_template_kwargs", Json.MAPPER.readTree(kwargs));
        }
        return EvaluationTask.ofOptions(json);
    }
}
