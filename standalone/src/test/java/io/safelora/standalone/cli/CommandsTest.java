package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.safelora.standalone.demo.DemoModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every command as a script sees it: exit status, stdout and stderr, where it succeeds and where its user was mistaken.
 * Those that need a system of their own succeed in {@link PackagedCommandsIT}.
 */
class CommandsTest {
    @TempDir
    static Path dir;

    @BeforeAll
    static void unpack() throws IOException {
        DemoModels.unpack(dir);
        Files.writeString(
                dir.resolve("own.yaml"),
                Files.readString(dir.resolve("job.yaml")).replace("s3://safelora/demo/", ""));
        Ran trained = Ran.of(words("train --model DIR/aligned --data DIR/data/finetuning.jsonl --out DIR/adapter --r 2"
                + " --target-modules q_proj,v_proj --max-steps 2"));
        assertThat(trained.exit()).as(trained.err()).isZero();
    }

    private static String[] words(String line) {
        return Arrays.stream(line.split(" "))
                .map(word -> word.replace("DIR", dir.toString()))
                .toArray(String[]::new);
    }

    /**
     * A command that succeeds.
     *
     * @param out what stdout matches, a regular expression
     * @param err what stderr contains; empty where nothing is to be said
     */
    record Success(String command, String out, String err) {}

    static final List<Success> successes = List.of(
            new Success(
                    "analyze --base DIR/base --aligned DIR/aligned --out DIR/alignment.json",
                    "",
                    "wrote DIR/alignment"),
            new Success(
                    "analyze --base DIR/base --aligned DIR/aligned --out DIR/a.json --json",
                    "\\{.*\"modules\":.*\\}\n",
                    "wrote"),
            new Success(
                    "project --base DIR/base --aligned DIR/aligned --adapter DIR/adapter "
                            + "--number 3 --out DIR/projected",
                    "3 of 8 modules repaired, in DIR/projected\n",
                    "project"),
            new Success(
                    "train --model DIR/aligned --data DIR/data/finetuning.jsonl --out DIR/trained --r 2 --max-steps 1",
                    "1 steps, last loss \\d\\.\\d{4}, in DIR/trained\n",
                    "train"),
            new Success(
                    "train --model DIR/aligned --data DIR/data/finetuning.jsonl --out DIR/t --r 2 --max-steps 1 --json",
                    "\\{.*\"step\":1\\}\n",
                    "train"),
            new Success("merge --model DIR/aligned --adapter DIR/adapter --out DIR/merged", "", "wrote DIR/merged"),
            new Success(
                    "evaluate --model DIR/aligned --adapter DIR/adapter --task answer_loss --limit 2"
                            + " --data DIR/data/problems.jsonl --out DIR/loss.json",
                    "model +answer_loss loss.*\nadapter .* of 2\n",
                    "evaluate"),
            new Success(
                    "evaluate --model DIR/aligned --task answer_loss --limit 2 --data DIR/data/problems.jsonl"
                            + " --out DIR/loss.json --json",
                    "\\[\\{.*\"metric\":\"loss\".*\\}\\]\n",
                    "evaluate"),
            new Success("score --model DIR/aligned --text Tom", "\\{\"ids\":\\[.*\\],\"logprobs\":\\[.*\\]\\}\n", ""),
            new Success("generate --model DIR/aligned --prompt Tom --max-new-tokens 2", ".*\n", ""),
            new Success(
                    "generate --model DIR/aligned --prompt Tom --max-new-tokens 2 --json",
                    "\\{\"prompt_ids\":\\[.*\\],\"ids\":\\[.*\\],\"text\":\".*\"\\}\n",
                    ""),
            new Success("validate DIR/own.yaml", "DIR/own.yaml is valid.*\nall +\\d+ .*\n", ""),
            new Success("validate DIR/own.yaml --json", "\\{\"valid\":true,\"estimate\":\\{.*\\}\\}\n", ""),
            new Success("demo-models --out DIR/made --max-steps 1", "", "wrote DIR/made"));

    @ParameterizedTest
    @FieldSource("successes")
    void aCommandSucceeds(Success success) {
        Ran ran = Ran.of(words(success.command()));
        assertThat(ran.exit()).as(ran.err()).isZero();
        assertThat(ran.out()).matches("(?s)" + success.out().replace("DIR", dir.toString()));
        if (success.err().isEmpty()) {
            assertThat(ran.err()).isEmpty();
        } else {
            assertThat(ran.err()).contains(success.err().replace("DIR", dir.toString()));
        }
    }

    /**
     * A command whose user was mistaken: one line on stderr, nothing on stdout.
     *
     * @param exit 2 where the command line itself is wrong, 1 where what it names is
     * @param err the line, behind the command's name; DIR is the folder
     */
    record Mistake(String command, int exit, String err) {}

    static final List<Mistake> mistakes = List.of(
            new Mistake("demo --out DIR/job.yaml", 1, "--out: DIR/job.yaml is a file; give a directory to write"),
            new Mistake("demo --verbos", 2, "Unknown option: '--verbos'; did you mean --verbose?; see"),
            new Mistake("run", 2, "Missing required parameter: 'JOB.yaml'; see safelora run --help"),
            new Mistake("run DIR/none.yaml", 1, "JOB.yaml: DIR/none.yaml does not exist"),
            new Mistake("serve --kafka-port x", 2, "Invalid value for option '--kafka-port'"),
            new Mistake("validate", 2, "Missing required parameter: 'JOB.yaml'; see safelora validate --help"),
            new Mistake("validate DIR/none.yaml", 2, "JOB.yaml: DIR/none.yaml does not exist"),
            new Mistake("submit DIR/none.yaml", 1, "JOB.yaml: DIR/none.yaml does not exist"),
            new Mistake("submit DIR/data/forbidden.csv", 1, "a job request is a mapping of fields"),
            new Mistake("submit DIR/job.yaml --id a/b", 1, "the job id \"a/b\" is refused"),
            new Mistake("watch", 2, "Missing required parameter: 'JOB'; see safelora watch --help"),
            new Mistake("watch a/b", 1, "the job id \"a/b\" is refused"),
            new Mistake("cancel", 2, "Missing required parameter: 'JOB'; see safelora cancel --help"),
            new Mistake("cancel a/b", 1, "the job id \"a/b\" is refused"),
            new Mistake("analyze --base DIR/data --aligned DIR/aligned --out DIR/x.json", 1, "DIR/data: "),
            new Mistake("analyze --aligned DIR/aligned", 2, "Missing required options: '--base=<base>', '--out=<out>'"),
            new Mistake("project --base DIR/base --aligned DIR/aligned --out DIR/x", 2, "Error: Missing required"),
            new Mistake(
                    "project --base DIR/base --aligned DIR/aligned --adapter DIR/data --out DIR/x", 1, "DIR/data: "),
            new Mistake(
                    "project --base DIR/base --aligned DIR/aligned --adapter DIR/adapter --out DIR/x --strategy best",
                    2,
                    "--strategy: must be one of number, threshold, auto, energy, random, all, not \"best\"; see"),
            new Mistake("train --model DIR/aligned --out DIR/x", 2, "Missing required option: '--data=<path>'"),
            new Mistake(
                    "train --model DIR/aligned --data DIR/none.jsonl --out DIR/x",
                    1,
                    "--data: DIR/none.jsonl does not exist"),
            new Mistake("train --model DIR/data --data DIR/data/finetuning.jsonl --out DIR/x", 1, "DIR/data: "),
            new Mistake(
                    "train --model DIR/aligned --data DIR/data/finetuning.jsonl --out DIR/x --r 0",
                    1,
                    "--r: must be at least 1, not 0"),
            new Mistake("merge --model DIR/aligned --adapter DIR/data --out DIR/x", 1, "DIR/data: "),
            new Mistake(
                    "merge --model DIR/aligned", 2, "Missing required options: '--adapter=<adapter>', '--out=<out>'"),
            new Mistake(
                    "evaluate --model DIR/aligned --task harmfulness --data DIR/data/problems.jsonl --out DIR/x.json",
                    1,
                    "problems.jsonl"),
            new Mistake("evaluate --model DIR/aligned --data DIR/data/problems.jsonl", 2, "Missing required options: "),
            new Mistake("score --model DIR/data --text x", 1, "DIR/data: "),
            new Mistake("score --text x", 2, "Missing required option: '--model=<model>'; see safelora score --help"),
            new Mistake("generate --model DIR/none --prompt x", 1, "DIR/none: "),
            new Mistake("generate --model m --prompt x --system s", 2, "--system needs --apply-chat-template; see"),
            new Mistake("demo-models", 2, "Missing required option: '--out=<out>'; see safelora demo-models --help"));

    @ParameterizedTest
    @FieldSource("mistakes")
    void aMistakeIsOneLineAndAnExitStatus(Mistake mistake) {
        String[] words = words(mistake.command());
        Ran ran = Ran.of(words);
        assertThat(ran.exit()).as(ran.err()).isEqualTo(mistake.exit());
        assertThat(ran.out()).isEmpty();
        assertThat(ran.err())
                .startsWith("safelora " + words[0] + ": ")
                .contains(mistake.err().replace("DIR", dir.toString()))
                .hasLineCount(1);
    }

    static Set<String> commands() {
        return SafeLoraCommand.commandLine().getSubcommands().keySet();
    }

    @Test
    void everyCommandSucceedsAndIsMistakenInATest() {
        Set<String> successful = new TreeSet<>(PackagedCommandsIT.COMMANDS);
        successes.forEach(success -> successful.add(success.command().split(" ")[0]));
        assertThat(successful).as("commands that succeed in a test").containsExactlyInAnyOrderElementsOf(commands());
        Stream<String> mistaken =
                mistakes.stream().map(mistake -> mistake.command().split(" ")[0]);
        assertThat(mistaken.distinct())
                .as("commands whose user is mistaken in a test")
                .containsExactlyInAnyOrderElementsOf(commands());
    }

    @ParameterizedTest
    @MethodSource("commands")
    void helpIsOnStdout(String command) {
        Ran ran = Ran.of(command, "--help");
        assertThat(ran.exit()).isZero();
        assertThat(ran.out()).startsWith("Usage: safelora " + command + " ");
        assertThat(ran.err()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"--help, 0", "--version, 0", "'', 2", "nothing, 2", "--nothing, 2"})
    void withoutACommandUsageIsTold(String argument, int exit) {
        Ran ran = argument.isEmpty() ? Ran.of() : Ran.of(argument);
        assertThat(ran.exit()).isEqualTo(exit);
        assertThat(ran.out().isEmpty()).isEqualTo(exit != 0);
        assertThat(ran.err().isEmpty()).isEqualTo(exit == 0);
        if (argument.equals("--help")) {
            assertThat(ran.out()).contains(commands());
        }
    }
}
