/**
 * Who says what an answer is: words of refusal, a guard model that runs here, or a model behind an endpoint. An answer
 * is a stranger's text; what it says never becomes a verdict by itself.
 */
package io.safelora.evaluation.judge;
