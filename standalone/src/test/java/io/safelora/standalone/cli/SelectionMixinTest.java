package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;
import io.safelora.contract.SelectionOptions.Repair;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

class SelectionMixinTest {
    @Command
    static final class Repairs {
        @Mixin
        SelectionMixin selection;
    }

    @Test
    void optionsAreWhatTheDocumentWouldSay() {
        assertThat(options()).isEqualTo(SelectionOptions.DEFAULTS);
        SelectionOptions given = options(
                "--repair",
                "SAFE_MERGE",
                "--projector",
                "subspace",
                "--modules",
                "q_proj,v_proj",
                "--number",
                "3",
                "--energy",
                "0.5",
                "--seed",
                "7",
                "--safety-adapter",
                "some/adapter");
        assertThat(given.repair()).isEqualTo(Repair.safe_merge);
        assertThat(given.projector()).isEqualTo(Projector.subspace);
        assertThat(given.modules()).isEqualTo(List.of("q_proj", "v_proj"));
        assertThat(given.number()).isEqualTo(3);
        assertThat(given.energy()).isEqualTo(0.5);
        assertThat(given.seed()).isEqualTo(7);
        assertThat(given.safetyAdapter())
                .isEqualTo(Path.of("some/adapter").toUri().toString());
    }

    @Test
    void whatIsWrongIsSaidOfTheOption() {
        assertThatThrownBy(() -> options("--repair", "safe-lor"))
                .hasMessageContaining("--repair: must be one of safe-lora, safe-merge, safety-vector, drop, scale");
        assertThatThrownBy(() -> options("--number", "-1")).hasMessageContaining("--number: must be at least 0");
        assertThatThrownBy(() -> options("--repair", "safe-merge"))
                .hasMessageContaining("selection.safety_adapter: is missing, and repair safe-merge needs it");
    }

    private static SelectionOptions options(String... arguments) {
        Repairs command = new Repairs();
        new CommandLine(command).parseArgs(arguments);
        return command.selection.options();
    }
}
