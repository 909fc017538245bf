package io.safelora.evaluation;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.lm.ChatTemplate;
import io.safelora.lm.ChatTemplate.Message;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
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
        Prompt prompt = new Prompt(List.of(new Message("user", "2 + 2?")), " ", "\n\n");
        assertThat(template.render(Prompt.conversation(prompt.turns(), task(null)), true))
                .isEqualTo("2 + 2? /think");
        assertThat(template.render(Prompt.conversation(prompt.turns(), task("{\"enable_thinking\": false}")), true))
                .isEqualTo("2 + 2?");
    }

    private static Task task(String kwargs) throws IOException {
        return TestTasks.named(
                "harmfulness",
                "{apply_chat_template: true" + (kwargs == null ? "" : ", chat_template_kwargs: " + kwargs) + "}");
    }
}
