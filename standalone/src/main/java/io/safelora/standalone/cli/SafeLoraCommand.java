package io.safelora.standalone.cli;

import java.io.IOException;
import java.nio.file.NoSuchFileException;
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
        return new CommandLine(new SafeLoraCommand())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((failure, command, parsed) -> {
                    System.err.println("safelora " + command.getCommandName() + ": " + inOneLine(failure));
                    if (System.getenv("SAFELORA_DEBUG") != null) {
                        failure.printStackTrace();
                    }
                    return 1;
                })
                .setParameterExceptionHandler((wrong, arguments) -> {
                    CommandLine command = wrong.getCommandLine();
                    System.err.println(command.getCommandSpec().qualifiedName() + ": " + firstLine(wrong.getMessage())
                            + "; see " + command.getCommandSpec().qualifiedName() + " --help");
                    return 2;
                })
                .execute(args);
    }

    /** What a user needs to know of a failure. Wrong input explains itself; anything else is named by its kind, too. */
    private static String inOneLine(Throwable failure) {
        String message =
                failure.getMessage() == null ? "" : failure.getMessage().replaceAll("\\s*\\R\\s*", " ");
        if (failure instanceof NoSuchFileException) {
            return "no such file: " + message;
        }
        if (failure instanceof IllegalArgumentException || failure instanceof IOException && !message.isEmpty()) {
            return message;
        }
        return failure.getClass().getSimpleName() + (message.isEmpty() ? "" : ": " + message)
                + " (SAFELORA_DEBUG=1 shows where)";
    }

    private static String firstLine(String text) {
        return text == null ? "" : text.lines().findFirst().orElse("");
    }
}
