/** An interpreter of Jinja, as far as chat templates use it, with transformers' results and bounded work. */
package io.safelora.lm.jinja;
