package io.safelora.standalone.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The launcher itself, beside a program that stands where the build puts the application. */
@Timeout(value = 1, unit = TimeUnit.MINUTES)
class LauncherTest {
    @TempDir
    Path dir;

    Path launcher;

    private record Run(int exit, String out, String err) {}

    @BeforeEach
    void install() throws IOException {
        launcher = Files.copy(Path.of("../safelora"), dir.resolve("safelora"));
        assertThat(launcher.toFile().setExecutable(true)).isTrue();
        Path app = dir.resolve("standalone/target/quarkus-app/quarkus-run.jar");
        Files.createDirectories(app.getParent());
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        manifest.getMainAttributes().put(Attributes.Name.MAIN_CLASS, EchoArguments.class.getName());
        String name = EchoArguments.class.getName().replace('.', '/') + ".class";
        try (OutputStream file = Files.newOutputStream(app);
                JarOutputStream jar = new JarOutputStream(file, manifest)) {
            jar.putNextEntry(new JarEntry(name));
            jar.write(EchoArguments.class.getResourceAsStream("/" + name).readAllBytes());
        }
    }

    private Run run(Map<String, String> environment, String... args) throws Exception {
        List<String> command = new ArrayList<>(List.of(launcher.toString()));
        command.addAll(List.of(args));
        Path out = dir.resolve("out");
        Path err = dir.resolve("err");
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
        builder.environment().remove("LC_CTYPE");
        builder.environment().remove("LANG");
        builder.environment().put("LC_ALL", "C");
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        environment.forEach((variable, value) -> {
            if (value == null) {
                builder.environment().remove(variable);
            } else {
                builder.environment().put(variable, value);
            }
        });
        Process process = builder.start();
        assertThat(process.waitFor(50, TimeUnit.SECONDS)).isTrue();
        return new Run(process.exitValue(), Files.readString(out), Files.readString(err));
    }

    @Test
    void argumentsAndOutputAreUtf8InWhateverLocale() throws Exception {
        // This JVM may itself be in a locale that cannot give such arguments: a shell script is bytes.
        Path script = dir.resolve("script.sh");
        String[] texts = {"Größe „ä“", "你好 🙂", "@file", "-x", "--json", ""};
        Files.writeString(
                script, "exec '" + launcher + "' '" + String.join("' '", texts) + "'\n", StandardCharsets.UTF_8);
        launcher = Files.writeString(dir.resolve("run"), "#!/bin/sh\nexec bash '" + script + "'\n");
        assertThat(launcher.toFile().setExecutable(true)).isTrue();
        for (String locale : new String[] {"C", "POSIX", "C.UTF-8", "no_SUCH.locale"}) {
            Run run = run(Map.of("LC_ALL", locale));
            assertThat(run.out()).as(locale + run.err()).isEqualTo(String.join("\n", texts) + "\n");
        }
    }

    @Test
    void anOldJavaIsToldInOneLine() throws Exception {
        Path bin = Files.createDirectories(dir.resolve("old/bin"));
        Path java = Files.writeString(
                bin.resolve("java"),
                "#!/bin/sh\necho 'Picked up JAVA_TOOL_OPTIONS: -Dx=y' >&2\necho 'openjdk "
                        + "version \"11.0.2\" 2019-01-15' >&2\nexit 0\n");
        assertThat(java.toFile().setExecutable(true)).isTrue();
        Map<String, String> onPath = new HashMap<>();
        onPath.put("JAVA_HOME", null);
        onPath.put("PATH", bin + File.pathSeparator + System.getenv("PATH"));
        Run run = run(onPath, "demo");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err())
                .isEqualTo(
                        "safelora: " + java + " is Java 11.0.2; install a JDK 17 or newer, or set JAVA_HOME to one\n");

        // A JDK's own file is believed before the program is started.
        Files.writeString(dir.resolve("old/release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"1.8.0_402\"\n");
        run = run(Map.of("JAVA_HOME", dir.resolve("old").toString()), "demo");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err())
                .contains("is Java 1.8.0_402; install a JDK 17 or newer")
                .hasLineCount(1);

        run = run(Map.of("JAVA_HOME", dir.resolve("nothing").toString()), "demo");
        assertThat(run.exit()).isEqualTo(1);
        assertThat(run.err()).isEqualTo("safelora: no java found; install a JDK 17 or newer, or set JAVA_HOME\n");
    }
}
