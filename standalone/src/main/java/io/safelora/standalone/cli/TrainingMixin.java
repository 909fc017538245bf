package io.safelora.standalone.cli;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.safelora.contract.Options;
import io.safelora.contract.TrainingOptions;
import java.nio.file.Path;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The training options of a job. */
final class TrainingMixin {
    @Option(names = "--all-tokens", description = "The same as --no-completion-only-loss")
    boolean allTokens;

    private RecordOptions given;

    @Spec(Spec.Target.MIXEE)
    void addTo(CommandSpec command) {
        given = new RecordOptions(command, TrainingOptions.class, Set.of());
    }

    /**
     * A file that was given, by the name that a job document has for it; null if none was.
     *
     * @throws io.safelora.contract.InvalidInputException naming option and file, if it cannot be read
     */
    Path file(String name) {
        return Inputs.file(Options.option(name), given.path(name));
    }

    /** @throws io.safelora.contract.InvalidJobException if an option is out of range; the message names it */
    TrainingOptions options() {
        ObjectNode fields = given.given();
        if (allTokens) {
            fields.put("completion_only_loss", false);
        }
        TrainingOptions options = Options.read(fields, TrainingOptions.class);
        options.check();
        return options;
    }
}
