/** Moving from Effect's SQL tables to FlareDB. */
export * from "./Failures.ts"
export type { Compared, Copied, MigrationOptions, OnProgress, TableCounts } from "./Migration.ts"
export { layerServices, Migration } from "./Migration.ts"
export type { Counts, Difference } from "./Part.ts"
export { DriverImport, layer as layerSource, type SourceDatabase, sourceOf } from "./SqlDatabase.ts"
