package io.safelora.standalone.cli;

import io.safelora.contract.JobDocument;
import io.safelora.contract.Options;
import io.safelora.contract.SelectionOptions;
import java.util.Set;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The options of a job's selection, for a command that repairs what is trained already, once. */
@Command // picocli takes no mixin without an annotated option or this
final class SelectionMixin {
    private RecordOptions given;

    @Spec(Spec.Target.MIXEE)
    void addTo(CommandSpec command) {
        given = new RecordOptions(command, SelectionOptions.class, Set.of("when", "sweep"));
    }

    SelectionOptions options() {
        return JobDocument.checked(Options.read(given.given(), SelectionOptions.class));
    }
}
