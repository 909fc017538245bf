package io.safelora.artifacts.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.safelora.artifacts.InvalidArtifactException;
import io.safelora.artifacts.Sha256;
import io.safelora.artifacts.checkpoint.Checkpoint;
import io.safelora.artifacts.safetensors.Dtype;
import io.safelora.artifacts.safetensors.SafetensorsWriter;
import io.safelora.artifacts.safetensors.TensorData;
import io.safelora.contract.ArtifactRef;
import io.safelora.testkit.EmbeddedS3;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ArtifactStoreTest {
    @TempDir
    static Path root;

    static S3Server server;
    static ArtifactStore store;

    @TempDir
    Path folder;

    @BeforeAll
    static void start() throws Exception {
        server = new S3Server(root.resolve("s3"), "bucket");
        store = new ArtifactStore(settings());
    }

    static StoreSettings settings() {
        return new StoreSettings(
                server.endpoint,
                "us-east-1",
                EmbeddedS3.ACCESS_KEY,
                EmbeddedS3.SECRET_KEY,
                true,
                root.resolve("cache"),
                false);
    }

    @AfterAll
    static void stop() throws Exception {
        store.close();
        server.close();
    }

    @Test
    void whatIsPutIsRead() throws Exception {
        ArtifactRef ref = store.put("s3://bucket/a/b.txt", "hello".getBytes(UTF_8));
        assertThat(store.get(ref, 100)).asString(UTF_8).isEqualTo("hello");
        assertThat(store.find("s3://bucket/a/none.txt", 100)).isEmpty();
        assertThat(store.list("s3://bucket/a")).extracting(Listed::uri).containsExactly("s3://bucket/a/b.txt");
        ByteBuffer part = ByteBuffer.allocate(3);
        store.open("s3://bucket/a/b.txt").read(1, part);
        assertThat(new String(part.array(), UTF_8)).isEqualTo("ell");
    }

    @Test
    void whatIsReplacedIsCopiedAndDeletedWhole() throws Exception {
        String uri = "s3://bucket/checkpoints/trainer/1";
        Path copy = folder.resolve("copy");
        assertThat(store.copy(uri, copy)).isFalse();
        for (String content : new String[] {"a long first one", "second"}) {
            store.put(uri, Files.writeString(folder.resolve("new"), content));
            assertThat(store.copy(uri, copy)).isTrue();
            assertThat(copy).hasContent(content);
        }
        store.delete(uri);
        store.delete(uri);
        assertThat(store.copy(uri, copy)).isFalse();
    }

    @Test
    void theSecondConditionalPutIsRefusedByTheServer() throws Exception {
        assertThat(store.putIfAbsent("s3://bucket/claims/1", "first".getBytes(UTF_8)))
                .isTrue();
        assertThat(store.putIfAbsent("s3://bucket/claims/1", "second".getBytes(UTF_8)))
                .isFalse();
        assertThat(store.get("s3://bucket/claims/1", 10)).asString(UTF_8).isEqualTo("first");
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void ofManyWritersAtOnceOneWins(boolean inS3) throws Exception {
        var pool = Executors.newFixedThreadPool(8);
        try (ArtifactStore local = new ArtifactStore(StoreSettings.localFiles(folder.resolve("cache")))) {
            ArtifactStore at = inS3 ? store : local;
            for (int round = 0; round < 20; round++) {
                String uri = inS3
                        ? "s3://bucket/claims-at-once/" + round
                        : folder.resolve("claims/" + round).toUri().toString();
                List<Callable<Boolean>> writers = IntStream.range(0, 8)
                        .mapToObj(i -> (Callable<Boolean>) () -> at.putIfAbsent(uri, ("writer " + i).getBytes(UTF_8)))
                        .toList();
                int winners = 0;
                for (var written : pool.invokeAll(writers)) {
                    winners += written.get() ? 1 : 0;
                }
                assertThat(winners).isEqualTo(1);
            }
        } finally {
            pool.shutdown();
        }
    }

    /** The client repeats it, and then the object is there: its own. */
    @Test
    void aClaimWhoseAnswerWasLostIsWon() throws Exception {
        server.loseAnswerOfPut.set(true);
        assertThat(store.putIfAbsent("s3://bucket/claims/lost", "me".getBytes(UTF_8)))
                .isTrue();
        assertThat(server.loseAnswerOfPut).isFalse();
        store.put("s3://bucket/claims/other", "you".getBytes(UTF_8));
        assertThat(store.putIfAbsent("s3://bucket/claims/other", "me".getBytes(UTF_8)))
                .isFalse();
    }

    @Test
    void aLargeFileGoesUpInParts() throws Exception {
        byte[] bytes = new byte[(12 << 20) + 1];
        new Random(1).nextBytes(bytes);
        Path file = Files.write(folder.resolve("large"), bytes);
        server.parts.clear();
        try (ArtifactStore inParts = new ArtifactStore(settings(), 5 << 20)) {
            ArtifactRef ref = inParts.put("s3://bucket/parts/large", file);
            assertThat(server.parts).containsExactlyInAnyOrder("parts/large 1", "parts/large 2", "parts/large 3");
            assertThat(ref).isEqualTo(new ArtifactRef("s3://bucket/parts/large", Sha256.hex(bytes), bytes.length));
            assertThat(inParts.get(ref, bytes.length)).isEqualTo(bytes);
            assertThat(inParts.download(ref.uri())).hasBinaryContent(bytes);
            assertThat(inParts.putIfAbsent(ref.uri(), new byte[1])).isFalse();

            Path result = Files.createDirectories(folder.resolve("result"));
            Files.move(file, result.resolve("weights"));
            ArtifactRef manifest = inParts.upload(result, "s3://bucket/results/large");
            assertThat(server.parts)
                    .contains(inParts.uri(manifest, "weights").substring("s3://bucket/".length()) + " 3");
            assertThat(inParts.download(manifest).resolve("weights")).hasBinaryContent(bytes);
            assertThat(inParts.upload(result, "s3://bucket/results/large")).isEqualTo(manifest);
        }
        assertThat(store.list("s3://bucket/parts")).hasSize(1);
    }

    @Test
    void oneKeyWithoutTheOtherIsRefused() {
        assertThatThrownBy(() -> new StoreSettings(server.endpoint, null, "key", null, true, root, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("SAFELORA_S3_ACCESS_KEY is set without SAFELORA_S3_SECRET_KEY");
        assertThatThrownBy(() -> new StoreSettings(server.endpoint, null, null, "secret", true, root, false))
                .hasMessageContaining("SAFELORA_S3_SECRET_KEY is set without SAFELORA_S3_ACCESS_KEY");
    }

    @Test
    void theVariablesOfAwsAreRead() throws Exception {
        store.put("s3://bucket/env/rows.jsonl", "rows".getBytes(UTF_8));
        ProcessBuilder reader = new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(),
                "-cp",
                System.getProperty("java.class.path"),
                Reader.class.getName(),
                folder.resolve("cache").toString());
        reader.environment()
                .putAll(Map.of(
                        "AWS_ENDPOINT_URL_S3",
                        server.endpoint.toString(),
                        "AWS_REGION",
                        "eu-central-1",
                        "AWS_ACCESS_KEY_ID",
                        EmbeddedS3.ACCESS_KEY,
                        "AWS_SECRET_ACCESS_KEY",
                        EmbeddedS3.SECRET_KEY));
        Path log = folder.resolve("log");
        Process process =
                reader.redirectErrorStream(true).redirectOutput(log.toFile()).start();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(Files.readString(log))
                .contains("read rows\n")
                .contains("s3://bucket/env/none: there is no such object; check bucket and key (" + server.endpoint
                        + ", region eu-central-1: 404 NoSuchKey");
    }

    /** A process that is told nothing but AWS's variables. */
    static final class Reader {
        public static void main(String... args) throws Exception {
            try (ArtifactStore store =
                    new ArtifactStore(new StoreSettings(null, null, null, null, true, Path.of(args[0]), false))) {
                System.out.println("read " + new String(store.get("s3://bucket/env/rows.jsonl", 100), UTF_8));
                store.get("s3://bucket/env/none", 100);
            }
        }
    }

    /** What S3 allows in a key, but for control characters. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "a:b.jsonl",
                "run 1/two  blanks.csv",
                " leading and trailing .txt",
                "what?.csv",
                "a#b.json",
                "100%.json",
                "%20.json",
                "a+b.json",
                "a&b=c;d,e@f$g!h*i'j(k)l~.json",
                "größe/日本語/\uD83D\uDE00.json",
                "\"<>|\\^`{}[].json",
            })
    void anyKeyComesBack(String key) throws Exception {
        String uri = "s3://bucket/keys/" + key;
        byte[] bytes = key.getBytes(UTF_8);
        ArtifactRef ref = store.put(uri, bytes);
        assertThat(store.get(ref, 1000)).isEqualTo(bytes);
        assertThat(store.list("s3://bucket/keys")).extracting(Listed::uri).contains(uri);
        assertThat(store.download(uri)).hasBinaryContent(bytes);
        assertThat(store.download(uri).getFileName().toString()).endsWith(key.substring(key.lastIndexOf('.')));
        assertThat(store.copy(uri, folder.resolve("copy"))).isTrue();
        assertThat(store.putIfAbsent(uri, new byte[1])).isFalse();
        String folderUri = uri.substring(0, uri.lastIndexOf('/'));
        store.put(folderUri + "/config.json", new byte[1]);
        assertThat(store.folder(folderUri).files()).containsKey("config.json");
        store.delete(uri);
        assertThat(store.find(uri, 1000)).isEmpty();
    }

    @Test
    void whatElseLiesInAModelsFolderMayHaveAnyName() throws Exception {
        store.put("s3://bucket/models/noted/config.json", "{}".getBytes(UTF_8));
        store.put("s3://bucket/models/noted/notes: first\\second.md", new byte[1]);
        assertThat(store.folder("s3://bucket/models/noted").files()).containsOnlyKeys("config.json");
        assertThat(store.download("s3://bucket/models/noted").resolve("config.json"))
                .hasContent("{}");
    }

    @Test
    void aResultIsUploadedAndDownloadedWhole() throws Exception {
        Files.createDirectories(folder.resolve("sub"));
        Files.writeString(folder.resolve("one.json"), "{}");
        Files.writeString(folder.resolve("sub/two.txt"), "two");
        assertThat(store.findManifest("s3://bucket/results/x")).isEmpty();
        ArtifactRef manifest = store.upload(folder, "s3://bucket/results/x");
        assertThat(store.findManifest("s3://bucket/results/x")).contains(manifest);
        Path there = store.download(manifest);
        assertThat(there.resolve("sub/two.txt")).hasContent("two");
        assertThat(store.read(manifest, "one.json", 100)).asString(UTF_8).isEqualTo("{}");

        Files.writeString(folder.resolve("one.json"), "{\"other\":1}");
        assertThat(store.upload(folder, "s3://bucket/results/x"))
                .as("the first result stays")
                .isEqualTo(manifest);
        assertThat(store.read(manifest, "one.json", 100)).asString(UTF_8).isEqualTo("{}");
    }

    @Test
    void aChangedFileIsNoticed() throws Exception {
        Files.writeString(folder.resolve("one.json"), "{}");
        ArtifactRef manifest = store.upload(folder, "s3://bucket/results/changed");
        store.put(store.uri(manifest, "one.json"), "[]".getBytes(UTF_8));
        assertThatThrownBy(() -> store.download(manifest))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("one.json")
                .hasMessageContaining("SHA-256");
        assertThatThrownBy(() -> store.read(manifest, "one.json", 100)).isInstanceOf(InvalidArtifactException.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"../evil", "/etc/passwd", "a/../../evil", "a//b", "..", "a\\\\b", "C:evil", ""})
    void aManifestCannotLeaveItsFolder(String name) throws Exception {
        String json = "{\"schema_version\":1,\"folder\":\"f\",\"files\":[{\"name\":\"" + name + "\",\"sha256\":\""
                + "0".repeat(64) + "\",\"size\":1}]}";
        ArtifactRef ref = store.put("s3://bucket/hostile/manifest.json", json.getBytes(UTF_8));
        assertThatThrownBy(() -> store.download(ref))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("s3://bucket/hostile/manifest.json");
    }

    @ParameterizedTest
    @ValueSource(strings = {"s3://bucket/../x", "s3://bucket/a/../../x", "s3:///x", "http://host/x", "/etc/passwd", ""})
    void otherUrisAreRefused(String uri) {
        assertThatThrownBy(() -> store.get(uri, 10)).isInstanceOf(InvalidArtifactException.class);
    }

    @Test
    void aServiceReadsNoLocalFiles() {
        assertThatThrownBy(() -> store.get("file:///etc/hostname", 1000))
                .isInstanceOf(InvalidArtifactException.class)
                .hasMessageContaining("file:///etc/hostname")
                .hasMessageContaining("s3://");
    }

    @Test
    void aCheckpointIsReadInPlace() throws Exception {
        float[] small = {1, 2, 3, 4, 5, 6};
        SafetensorsWriter.write(
                folder.resolve("model.safetensors"),
                Map.of(
                        "small",
                        TensorData.of(Dtype.F32, new long[] {2, 3}, small),
                        "large",
                        TensorData.of(Dtype.F32, new long[] {1000, 1000}, new float[1_000_000])),
                Map.of("format", "pt"));
        Files.writeString(folder.resolve("config.json"), "{\"model_type\":\"llama\"}");
        for (String file : List.of("model.safetensors", "config.json")) {
            store.put("s3://bucket/models/tiny/" + file, folder.resolve(file));
        }
        Checkpoint remote = Checkpoint.open(URI.create("s3://bucket/models/tiny"), store);
        assertThat(remote.names()).containsExactly("large", "small");
        assertThat(remote.map("small")).isEqualTo(Checkpoint.open(folder).map("small"));
        assertThat(remote.config().get("model_type").asText()).isEqualTo("llama");
        assertThat(store.download("s3://bucket/models/tiny").resolve("model.safetensors"))
                .hasSameBinaryContentAs(folder.resolve("model.safetensors"));
        String digest = store.digest("s3://bucket/models/tiny");
        assertThat(remote.digest()).isEqualTo(digest);
        store.put("s3://bucket/models/tiny/config.json", "{}".getBytes(UTF_8));
        assertThat(store.digest("s3://bucket/models/tiny")).isNotEqualTo(digest);
    }

    @Test
    void aTensorIsReadByRangesSeveralInFlightAndNothingElse() throws Exception {
        Random random = new Random(1);
        float[] wanted = new float[6_000_000];
        for (int i = 0; i < wanted.length; i++) {
            wanted[i] = random.nextFloat();
        }
        SafetensorsWriter.write(
                folder.resolve("model.safetensors"),
                Map.of(
                        "a.other", TensorData.of(Dtype.F32, new long[] {500_000}, new float[500_000]),
                        "m.wanted", TensorData.of(Dtype.F32, new long[] {6000, 1000}, wanted),
                        "z.other", TensorData.of(Dtype.F32, new long[] {500_000}, new float[500_000])),
                Map.of());
        store.put("s3://bucket/models/large/model.safetensors", folder.resolve("model.safetensors"));
        Checkpoint remote = Checkpoint.open(URI.create("s3://bucket/models/large"), store);
        for (int cutEvery : new int[] {0, 3}) {
            server.reads.clear();
            server.mostAtOnce.set(0);
            server.cutEvery = cutEvery;
            server.delayMillis = 200;
            ByteBuffer whole = ByteBuffer.allocate(24_000_000);
            ByteBuffer part = ByteBuffer.allocateDirect(10_000_000);
            try {
                for (int offset = 0; offset < 24_000_000; offset += 10_000_000) {
                    part.clear().limit(Math.min(10_000_000, 24_000_000 - offset));
                    remote.read("m.wanted", offset, part);
                    whole.put(part.flip());
                }
            } finally {
                server.cutEvery = 0;
                server.delayMillis = 0;
            }
            assertThat(whole.flip()).isEqualTo(Checkpoint.open(folder).map("m.wanted"));
            if (cutEvery == 0) {
                // Parts of 10, 10 and 4 million bytes in ranges of 4 MiB.
                assertThat(server.reads).hasSize(7).doesNotHaveDuplicates();
                assertThat(server.reads.stream()
                                .map(read -> read.split(" ")[1].split("-"))
                                .mapToLong(r -> Long.parseLong(r[1]) - Long.parseLong(r[0]) + 1)
                                .sum())
                        .isEqualTo(24_000_000);
                assertThat(server.mostAtOnce.get()).isGreaterThan(2);
            }
        }
    }

    @Test
    void aProcessOfItsOwnMayUseLocalFiles() throws Exception {
        try (ArtifactStore local = new ArtifactStore(StoreSettings.localFiles(folder.resolve("cache")))) {
            Path in = Files.createDirectories(folder.resolve("in"));
            Files.writeString(in.resolve("one.json"), "{}");
            String out = folder.resolve("out dir").toUri().toString();
            ArtifactRef manifest = local.upload(in, out);
            assertThat(local.download(manifest).resolve("one.json")).hasContent("{}");
            assertThat(local.putIfAbsent(manifest.uri(), new byte[1])).isFalse();
            Path file = Path.of(URI.create(local.uri(manifest, "one.json")));
            Files.writeString(file, "[]");
            assertThatThrownBy(() -> local.download(manifest)).hasMessageContaining("SHA-256");
        }
    }
}
