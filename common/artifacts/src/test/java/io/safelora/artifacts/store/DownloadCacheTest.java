package io.safelora.artifacts.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.safelora.artifacts.Sha256;
import io.safelora.contract.ArtifactRef;
import io.safelora.testkit.EmbeddedS3;
import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DownloadCacheTest {
    @TempDir
    Path root;

    S3Server server;
    ArtifactStore store;

    @BeforeEach
    void start() throws Exception {
        server = new S3Server(root.resolve("s3"), "bucket");
        store = store(root.resolve("cache"));
    }

    @AfterEach
    void stop() throws Exception {
        store.close();
        server.close();
    }

    private ArtifactStore store(Path cache) {
        return new ArtifactStore(new StoreSettings(
                server.endpoint, "us-east-1", EmbeddedS3.ACCESS_KEY, EmbeddedS3.SECRET_KEY, true, cache, false));
    }

    @Test
    void theSameBytesUnderTwoNamesAreTwoFiles() throws Exception {
        for (String name : List.of("one.jsonl", "two.csv", "other/one.jsonl")) {
            store.put("s3://bucket/" + name, "same".getBytes(UTF_8));
            Path file = store.download("s3://bucket/" + name);
            assertThat(file)
                    .hasContent("same")
                    .hasFileName(Path.of(name).getFileName().toString());
        }
        server.reads.clear();
        assertThat(store.download("s3://bucket/two.csv")).hasContent("same");
        assertThat(server.reads).as("taken out of the cache").isEmpty();
    }

    enum Damage {
        DELETED {
            @Override
            void to(Path file) throws IOException {
                Files.delete(file);
            }
        },
        CUT {
            @Override
            void to(Path file) throws IOException {
                Files.writeString(file, "{");
            }
        },
        ALTERED {
            @Override
            void to(Path file) throws IOException {
                Files.writeString(file, "X".repeat((int) Files.size(file)));
            }
        },
        EMPTIED {
            @Override
            void to(Path file) throws IOException {
                Files.write(file, new byte[0]);
            }
        },
        FOLDER_CLEANED {
            @Override
            void to(Path file) throws IOException {
                deleteTree(file.getParent());
                Files.createDirectories(file.getParent());
            }
        },
        DIGESTS_DAMAGED {
            @Override
            void to(Path file) throws IOException {
                Path entry = file.getParent();
                while (!Files.exists(entry.resolve("sha256.json"))) {
                    entry = entry.getParent();
                }
                Files.writeString(entry.resolve("sha256.json"), "{\"config.json\":");
            }
        };

        abstract void to(Path file) throws IOException;
    }

    @ParameterizedTest
    @EnumSource
    void whatIsDamagedComesDownAgain(Damage damage) throws Exception {
        store.put("s3://bucket/rows.jsonl", "{\"rows\":1}".getBytes(UTF_8));
        store.put("s3://bucket/model/config.json", "{\"model\":1}".getBytes(UTF_8));
        store.put("s3://bucket/model/model.safetensors", "weights".getBytes(UTF_8));
        Path out = Files.createDirectories(root.resolve("out"));
        Files.writeString(out.resolve("report.json"), "{\"result\":1}");
        ArtifactRef manifest = store.upload(out, "s3://bucket/results/1");

        damage.to(store.download("s3://bucket/rows.jsonl"));
        assertThat(store.download("s3://bucket/rows.jsonl")).hasContent("{\"rows\":1}");

        damage.to(store.download("s3://bucket/model").resolve("config.json"));
        Path model = store.download("s3://bucket/model");
        assertThat(model.resolve("config.json")).hasContent("{\"model\":1}");
        assertThat(model.resolve("model.safetensors")).hasContent("weights");

        damage.to(store.download(manifest).resolve("report.json"));
        assertThat(store.download(manifest).resolve("report.json")).hasContent("{\"result\":1}");
    }

    @Test
    void whatIsCutOffOnItsWayIsReadOn() throws Exception {
        byte[] bytes = new byte[20_000_000];
        new Random(1).nextBytes(bytes);
        store.put("s3://bucket/large.bin", bytes);
        server.cutEvery = 3;
        try {
            assertThat(store.download("s3://bucket/large.bin")).hasBinaryContent(bytes);
        } finally {
            server.cutEvery = 0;
        }
        try (var files = Files.walk(root.resolve("cache"))) {
            assertThat(files.filter(Files::isRegularFile))
                    .extracting(file -> file.getFileName().toString())
                    .containsExactlyInAnyOrder("large.bin", "sha256.json");
        }
    }

    /** Each process takes the same objects while others do, and one damages them over and over. */
    @Test
    void processesShareTheFolder() throws Exception {
        byte[] bytes = new byte[3_000_000];
        new Random(1).nextBytes(bytes);
        store.put("s3://bucket/shared.bin", bytes);
        server.delayMillis = 20;
        List<Process> processes = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            processes.add(new ProcessBuilder(
                            ProcessHandle.current().info().command().orElseThrow(),
                            "-cp",
                            System.getProperty("java.class.path"),
                            Taker.class.getName(),
                            server.endpoint.toString(),
                            root.resolve("cache").toString(),
                            Sha256.hex(bytes))
                    .redirectErrorStream(true)
                    .redirectOutput(root.resolve("log" + i).toFile())
                    .start());
        }
        for (int i = 0; i < processes.size(); i++) {
            assertThat(processes.get(i).waitFor(60, TimeUnit.SECONDS)).isTrue();
            assertThat(processes.get(i).exitValue())
                    .as(Files.readString(root.resolve("log" + i)))
                    .isZero();
        }
    }

    /** One of the processes. */
    static final class Taker {
        public static void main(String... args) throws Exception {
            StoreSettings settings = new StoreSettings(
                    java.net.URI.create(args[0]),
                    "us-east-1",
                    EmbeddedS3.ACCESS_KEY,
                    EmbeddedS3.SECRET_KEY,
                    true,
                    Path.of(args[1]),
                    false);
            try (ArtifactStore store = new ArtifactStore(settings)) {
                for (int i = 0; i < 10; i++) {
                    Path file = store.download("s3://bucket/shared.bin");
                    if (!Sha256.hex(file).equals(args[2])) {
                        throw new IllegalStateException("another content in round " + i);
                    }
                    // As one who cleans: readers of the file keep what they have open.
                    if (i % 3 == 2) {
                        Files.deleteIfExists(file.getParent().getParent().resolve("sha256.json"));
                    }
                }
            }
        }
    }

    @Test
    void aFullDiskLosesWhatWasNotUsedAndFailsNothing() throws Exception {
        try (FileSystem disk = Jimfs.newFileSystem(
                Configuration.unix().toBuilder().setMaxSize(4_000_000).build())) {
            Path cache = Files.createDirectories(disk.getPath("/cache"));
            Files.writeString(cache.resolve("somebody-elses"), "file");
            for (String name : List.of("old.bin", "new.bin", "third.bin")) {
                byte[] bytes = new byte[2_500_000];
                new Random(name.hashCode()).nextBytes(bytes);
                store.put("s3://bucket/" + name, bytes);
            }
            Path old;
            Path elsewhere;
            try (ArtifactStore full = store(cache)) {
                old = full.download("s3://bucket/old.bin");
                Path index = old.getParent().getParent().resolve("sha256.json");
                Files.setLastModifiedTime(
                        index,
                        FileTime.from(Instant.now().minus(DownloadCache.UNUSED).minusSeconds(60)));

                Path fresh = full.download("s3://bucket/new.bin");
                assertThat(fresh.getFileSystem()).isSameAs(disk);
                assertThat(Files.size(fresh)).isEqualTo(2_500_000);
                assertThat(Files.exists(old)).as("made room").isFalse();

                elsewhere = full.download("s3://bucket/third.bin");
                assertThat(elsewhere.getFileSystem()).isNotSameAs(disk);
                assertThat(Sha256.hex(elsewhere)).isEqualTo(Sha256.hex(full.get("s3://bucket/third.bin", 3_000_000)));
                assertThat(Files.exists(fresh)).as("was used just now").isTrue();
                assertThat(Files.exists(cache.resolve("somebody-elses"))).isTrue();
            }
            assertThat(elsewhere).doesNotExist();
        }
    }

    @Test
    void aFolderThatCannotBeWrittenFailsNothing() throws Exception {
        store.put("s3://bucket/rows.jsonl", "rows".getBytes(UTF_8));
        Path file = Files.writeString(root.resolve("file"), "");
        try (ArtifactStore nowhere = store(file.resolve("cache"))) {
            assertThat(nowhere.download("s3://bucket/rows.jsonl")).hasContent("rows");
        }
    }

    @Test
    void whatIsNotWhatItsManifestSaysIsTheJobsFault() throws Exception {
        Path out = Files.createDirectories(root.resolve("out"));
        Files.writeString(out.resolve("report.json"), "{\"result\":1}");
        ArtifactRef manifest = store.upload(out, "s3://bucket/results/1");
        store.put(store.uri(manifest, "report.json"), "{\"result\":2}".getBytes(UTF_8));
        assertThatThrownBy(() -> store.download(manifest)).hasMessageContaining("SHA-256");
    }

    private static void deleteTree(Path root) throws IOException {
        try (var walk = Files.walk(root)) {
            for (Path p : (Iterable<Path>) walk.sorted(Comparator.reverseOrder())::iterator) {
                Files.delete(p);
            }
        }
    }
}
