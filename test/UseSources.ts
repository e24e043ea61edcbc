/** A worker that loads modules without Vite loads this first, so that the package's name means its sources. */
import { registerHooks } from "node:module"
import { pathToFileURL } from "node:url"
import { entryPoints } from "./Sources.ts"

const urls = new Map(Object.entries(entryPoints).map(([name, path]) => [name, pathToFileURL(path).href]))

registerHooks({
  resolve: (specifier, context, nextResolve) => nextResolve(urls.get(specifier) ?? specifier, context)
})
