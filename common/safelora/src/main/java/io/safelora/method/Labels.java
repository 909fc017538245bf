package io.safelora.method;

import io.safelora.contract.Json;
import io.safelora.contract.SelectionOptions;
import io.safelora.contract.SelectionOptions.Projector;

/** How tables write the options that a repair looks at. */
final class Labels {
    private Labels() {}

    /** "approximate", "subspace 0.9" */
    static String projector(SelectionOptions o) {
        return o.projector() + (o.projector() == Projector.subspace ? " " + number(o.energy()) : "");
    }

    /** The projector, of a repair that only measures cosines by it: " approximate", or nothing where no cosine is looked at */
    static String measuredBy(SelectionOptions o) {
        return o.byCosine() ? " " + projector(o) : "";
    }

    /** "lowest 30 of layers 8-19" */
    static String chosen(SelectionOptions o) {
        return Strategy.of(o).label()
                + (o.layers() == null ? "" : " of layers " + o.layers())
                + (o.modules() == null ? "" : " of " + String.join(", ", o.modules()));
    }

    /** ", blend 0.5", or nothing where it is 1 */
    static String blend(SelectionOptions o) {
        return o.blend() == 1 ? "" : ", blend " + number(o.blend());
    }

    /** "2" and "0.5" */
    static String number(double value) {
        return Json.MAPPER.valueToTree(value).asText().replaceFirst("\\.0$", "");
    }
}
