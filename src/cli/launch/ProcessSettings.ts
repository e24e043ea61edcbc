/**
 * The environment a node's process needs, which has to be there when it starts. `bin/flaredb.js` starts itself again
 * with the same values where they are missing; a program that starts nodes sets them at once and saves the second
 * start.
 */

/** The values; what the environment has already wins. */
export const processSettings = (env: Readonly<Record<string, string | undefined>>): Record<string, string> => ({
  /** RocksDB's reads and writes and its background work share this pool; four threads can be held up by one flush. */
  UV_THREADPOOL_SIZE: env["UV_THREADPOOL_SIZE"] ?? "8",
  /**
   * With an arena for each thread, memory that RocksDB has given back stays with the process: a fifth of it, measured.
   */
  MALLOC_ARENA_MAX: env["MALLOC_ARENA_MAX"] ?? "2",
  /**
   * V8 would let short-lived objects take a hundred MiB before it looks at them; and with a limit of 2 GiB or more it
   * lets the heap grow to four times what is alive, below that to less than twice. A node keeps some 80 MiB alive.
   */
  NODE_OPTIONS: env["NODE_OPTIONS"] ?? "--max-semi-space-size=8 --max-old-space-size=1536"
})
