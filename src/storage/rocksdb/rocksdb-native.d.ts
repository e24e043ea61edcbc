/** What `import("rocksdb-native")` gives, for the sources and tests here; the package ships no types. */
// oxlint-disable typescript/consistent-type-imports -- a declared module may not import relatively
declare module "rocksdb-native" {
  const RocksDB: typeof import("./Binding.ts").RocksDB
  type RocksDB = import("./Binding.ts").RocksDB
  export default RocksDB
  export const ColumnFamily: typeof import("./Binding.ts").ColumnFamily
  export type ColumnFamily = import("./Binding.ts").ColumnFamily
}
