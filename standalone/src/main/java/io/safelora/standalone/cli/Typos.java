package io.safelora.standalone.cli;

import io.safelora.contract.Nearest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import picocli.CommandLine.MissingParameterException;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** What somebody meant who mistyped a command, an option, or one of an option's values. */
final class Typos {
    private Typos() {}

    /** For the end of a message: "; did you mean --learning-rate?", or nothing. */
    static String hint(ParameterException wrong, String[] arguments) {
        CommandSpec command = wrong.getCommandLine().getCommandSpec();
        if (wrong instanceof UnmatchedArgumentException unmatched
                && !unmatched.getUnmatched().isEmpty()) {
            String typed = name(unmatched.getUnmatched().get(0));
            Collection<String> names = typed.startsWith("-")
                    ? options(command)
                    : command.subcommands().keySet();
            return Nearest.hint(typed, names);
        }
        if (wrong instanceof MissingParameterException) {
            // What is missing may be there under a name that is almost its own, which picocli would complain of
            // afterwards.
            List<String> options = options(command);
            return Arrays.stream(arguments)
                    .map(Typos::name)
                    .filter(argument -> argument.matches("--.+") && !options.contains(argument))
                    .findFirst()
                    .map(argument -> "; there is no option " + argument + Nearest.hint(argument, options))
                    .orElse("");
        }
        return "";
    }

    private static String name(String argument) {
        return argument.replaceFirst("=.*", "");
    }

    private static List<String> options(CommandSpec command) {
        List<String> names = new ArrayList<>();
        command.options().forEach(option -> names.addAll(Arrays.asList(option.names())));
        return names;
    }
}
