package io.safelora.standalone.architecture;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Dependencies point down: service, pipeline, artifacts, contract; the model and the method know neither Kafka nor S3.
 */
class ArchitectureTest {
    private static final String ROOT = "io.safelora.";
    private static final String[] FRAMEWORKS = {
        "io.quarkus..", "io.smallrye..", "jakarta.enterprise..", "jakarta.inject..", "org.eclipse.microprofile.."
    };
    /** Quarkus without Qute, which is a plain library. */
    private static final String[] CDI = {"io.quarkus.arc..", "io.smallrye..", "jakarta.enterprise..", "jakarta.inject.."
    };

    /** Those and SmallRye's without its configuration, which is a plain library. */
    private static final String[] QUARKUS = {"io.quarkus..", "io.smallrye.reactive..", "jakarta.enterprise.."};

    private static final String[] KAFKA = {"org.apache.kafka..", "io.cloudevents.."};
    private static final String[] S3 = {"software.amazon..", "io.safelora.artifacts.store.."};
    private static final String[] TORCH = {"ai.djl.."};

    /**
     * A module: where it lies, its package below io.safelora, the modules it may use, and the libraries it must not.
     */
    record Module(String directory, String name, List<String> uses, String[]... mustNotUse) {}

    private static final List<String> LIBRARIES = List.of(
            "contract", "torch", "artifacts", "lm", "method", "training", "evaluation", "preflight", "pipeline");

    static final List<Module> modules = List.of(
            new Module("common/contract", "contract", List.of(), FRAMEWORKS, KAFKA, S3, TORCH),
            new Module("common/testkit", "testkit", List.of("contract"), QUARKUS, TORCH),
            new Module("common/torch", "torch", List.of("artifacts"), FRAMEWORKS, KAFKA, S3),
            new Module("common/artifacts", "artifacts", List.of("contract"), FRAMEWORKS, KAFKA, TORCH),
            new Module("common/causal-lm", "lm", List.of("torch", "artifacts", "contract"), FRAMEWORKS, KAFKA, S3),
            new Module("common/safelora", "method", List.of("torch", "artifacts", "contract"), FRAMEWORKS, KAFKA, S3),
            new Module(
                    "common/training",
                    "training",
                    List.of("lm", "torch", "artifacts", "contract"),
                    FRAMEWORKS,
                    KAFKA,
                    S3),
            new Module(
                    "common/evaluation", "evaluation", List.of("lm", "torch", "artifacts", "contract"), CDI, KAFKA, S3),
            new Module(
                    "common/preflight",
                    "preflight",
                    List.of("method", "training", "evaluation", "lm", "torch", "artifacts", "contract"),
                    CDI,
                    KAFKA),
            new Module("common/pipeline", "pipeline", List.of("artifacts", "contract"), TORCH),
            new Module("alignment-analyzer", "analyzer", LIBRARIES),
            new Module("layer-selector", "selector", LIBRARIES),
            new Module("lora-trainer", "trainer", LIBRARIES),
            new Module("evaluator", "evaluator", LIBRARIES),
            new Module("standalone", "standalone", everything()));

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("io.safelora");

    @ParameterizedTest
    @FieldSource("modules")
    void everyClassOfAModuleIsLookedAt(Module module) throws IOException {
        Path sources = Path.of("..", module.directory(), "src/main/java");
        Set<String> written = new TreeSet<>();
        if (Files.exists(sources)) {
            try (Stream<Path> files = Files.walk(sources)) {
                files.filter(file -> file.toString().endsWith(".java"))
                        .map(file -> sources.relativize(file)
                                .toString()
                                .replace('/', '.')
                                .replaceAll("\\.java$", ""))
                        .filter(name -> !name.endsWith("package-info"))
                        .forEach(written::add);
            }
        }
        assertThat(CLASSES.stream().map(JavaClass::getName))
                .as("the classes of %s that the rules below see", module.directory())
                .containsAll(written);
        assertThat(written).as("one package per module").allMatch(name -> name.startsWith(ROOT + module.name() + "."));
    }

    @ParameterizedTest
    @FieldSource("modules")
    void everyPackageSaysWhatItIs(Module module) throws IOException {
        try (Stream<Path> files = Files.walk(Path.of("..", module.directory(), "src/main/java"))) {
            assertThat(files.filter(file -> file.toString().endsWith(".java"))
                            .map(file -> file.resolveSibling("package-info.java"))
                            .distinct())
                    .allSatisfy(file -> assertThat(file).exists());
        }
    }

    @ParameterizedTest
    @FieldSource("modules")
    void dependenciesPointDown(Module module) {
        List<String> above = new ArrayList<>();
        for (Module other : modules) {
            if (!other.name().equals(module.name()) && !module.uses().contains(other.name())) {
                above.add(ROOT + other.name() + "..");
            }
        }
        for (String[] libraries : module.mustNotUse()) {
            above.addAll(List.of(libraries));
        }
        noClasses()
                .that()
                .resideInAPackage(ROOT + module.name() + "..")
                .should()
                .dependOnClassesThat(resideInAnyPackage(above.toArray(String[]::new)))
                .because("of docs/architecture.md: service -> pipeline -> artifacts -> contract")
                .allowEmptyShould(true) // everyClassOfAModuleIsLookedAt knows whether it may be empty
                .check(CLASSES);
    }

    @Test
    void torchIsDjlAndTheElementTypesOfTensors() {
        classes()
                .that()
                .resideInAPackage("io.safelora.torch..")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "java..",
                        "ai.djl..",
                        "org.slf4j..",
                        "io.safelora.torch..",
                        "io.safelora.artifacts.safetensors..")
                .check(CLASSES);
    }

    @Test
    void theContractIsRecordsAndTheirSchemas() {
        classes()
                .that()
                .resideInAPackage("io.safelora.contract..")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "java..",
                        "io.safelora.contract..",
                        "com.fasterxml.jackson..",
                        "jakarta.validation..",
                        "com.github.victools..",
                        "com.fasterxml.classmate..",
                        "com.networknt..",
                        "org.yaml.snakeyaml..")
                .check(CLASSES);
    }

    @Test
    void packagesHaveNoCycles() {
        slices().matching("io.safelora.(*)..").should().beFreeOfCycles().check(CLASSES);
        slices().matching("io.safelora.(**)").should().beFreeOfCycles().check(CLASSES);
    }

    private static List<String> everything() {
        List<String> all = new ArrayList<>(LIBRARIES);
        all.addAll(List.of("testkit", "analyzer", "selector", "trainer", "evaluator"));
        return all;
    }
}
