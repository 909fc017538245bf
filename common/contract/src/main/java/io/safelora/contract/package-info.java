/**
 * Job documents and events as records. Their JSON Schemas, the AsyncAPI document and docs/job.md are generated from
 * them.
 */
package io.safelora.contract;
