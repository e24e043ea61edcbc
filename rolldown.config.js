// The command line as a few files instead of six hundred modules: that is what most of a process's start went to.
// The library next to it, `dist/**` without `dist/cli`, stays module by module (`tsconfig.build.json`).
import { defineConfig } from "rolldown"

export default defineConfig([
  {
    input: { flaredb: "src/cli/flaredb.ts", "lock-guard": "src/cli/lock/GuardProcess.ts" },
    platform: "node",
    // The first brings a binary that it looks for beside itself; the second is there when its user has installed it.
    external: ["rocksdb-native", /^@effect\/sql-pg/],
    // Node keeps the text of what it has loaded in memory: the documentation in it would be 3 MiB of every process.
    output: {
      dir: "dist/cli",
      cleanDir: true,
      chunkFileNames: "[name].js",
      comments: { legal: true, annotation: false, jsdoc: false }
    }
  },
  // The console: one script for browsers. Style, page and icon are beside it as they are (`build.sh`).
  {
    input: { app: "console/main.tsx" },
    platform: "browser",
    transform: { target: "es2023" },
    output: { dir: "dist/console", cleanDir: true, entryFileNames: "[name].js", minify: true, comments: false }
  }
])
