/** Chooses the modules to repair: before training what can be planned, after it by the trained update. */
package io.safelora.selector;
