package io.safelora.standalone.cli;

import io.safelora.contract.InvalidInputException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** {@code ./safelora}: the whole system in one process, a client of any running system, and single stages on files. */
@Command(
        name = "safelora",
        description = "LoRA fine-tuning that keeps an aligned model's refusals.",
        mixinStandardHelpOptions = true,
        version = "safelora 0.1.0",
        subcommands = {
            SystemCommands.Demo.class,
            SystemCommands.Run.class,
            SystemCommands.Serve.class,
            ValidateCommand.class,
            ClientCommands.Submit.class,
            ClientCommands.Watch.class,
            ClientCommands.Cancel.class,
            StageCommands.Analyze.class,
            StageCommands.Project.class,
            TrainCommand.class,
            StageCommands.Merge.class,
            StageCommands.Evaluate.class,
            StageCommands.DemoModelsCommand.class,
            StageCommands.Score.class,
            StageCommands.Generate.class,
        })
public final class SafeLoraCommand {
    private SafeLoraCommand() {}

    /** Runs one command; the exit status is 0, 1 for a failure, 2 for wrong usage. */
    static int execute(String... args) {
        return commandLine().execute(args);
    }

    static CommandLine commandLine() {
        CommandLine safelora = new CommandLine(new SafeLoraCommand())
                .setCaseInsensitiveEnumValuesAllowed(true)
                // "@all" is a prompt, not a file of options.
                .setExpandAtFiles(false)
                .setExecutionExceptionHandler((failure, command, parsed) -> {
                    Console.endBar();
                    System.err.println("safelora " + command.getCommandName() + ": " + inOneLine(failure));
                    if (System.getenv("SAFELORA_DEBUG") != null) {
                        failure.printStackTrace();
                    }
                    return 1;
                })
                .setParameterExceptionHandler((wrong, arguments) -> {
                    CommandLine command = wrong.getCommandLine();
                    System.err.println(command.getCommandSpec().qualifiedName() + ": " + firstLine(wrong.getMessage())
                            + Typos.hint(wrong, arguments) + "; see "
                            + command.getCommandSpec().qualifiedName() + " --help");
                    return 2;
                });
        // Where a text is an argument it may begin with -, and be the name of an option, or "--".
        for (String command : List.of("score", "generate")) {
            safelora.getSubcommands()
                    .get(command)
                    .setAllowOptionsAsOptionParameters(true)
                    .setEndOfOptionsDelimiter("\0");
        }
        return safelora;
    }

    /** What a user needs to know of a failure. Wrong input explains itself; anything else is named by its kind, too. */
    private static String inOneLine(Throwable failure) {
        if (failure instanceof UncheckedIOException unchecked) {
            return inOneLine(unchecked.getCause());
        }
        if (failure instanceof NoSuchFileException missing) {
            return "no such file: " + missing.getFile();
        }
        if (failure instanceof FileSystemException file) {
            return Output.reason(file);
        }
        String message =
                failure.getMessage() == null ? "" : failure.getMessage().replaceAll("\\s*\\R\\s*", " ");
        if (failure instanceof InvalidInputException || failure instanceof IOException && !message.isEmpty()) {
            return message;
        }
        return failure.getClass().getSimpleName() + (message.isEmpty() ? "" : ": " + message)
                + " (SAFELORA_DEBUG=1 shows where)";
    }

    private static String firstLine(String text) {
        return text == null ? "" : text.lines().findFirst().orElse("");
    }
}
