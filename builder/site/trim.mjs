// node trim.mjs PYODIDE_DIR IN_DIR OUT_DIR: runs trim.py inside Pyodide, which reads IN_DIR.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [pyodideDir, inDir, outDir] = process.argv.slice(2);
try {
  const { loadPyodide } = await import(pathToFileURL(`${pyodideDir}/pyodide.mjs`).href);
  const pyodide = await loadPyodide({
    indexURL: `${pyodideDir}/`,
    packageBaseUrl: `${pyodideDir}/`,
    env: { PYTHONHASHSEED: "0" }, // sets are marshalled in hash order: same input, same bytes
    stdout: () => {},
  });
  for (const [name, dir] of [["/in", inDir], ["/out", outDir]]) {
    pyodide.FS.mkdirTree(name);
    pyodide.mountNodeFS(name, dir);
  }
  await pyodide.runPythonAsync(readFileSync(new URL("trim.py", import.meta.url), "utf8"));
} catch (error) {
  console.error(String(error?.message ?? error).trim().split("\n").pop()); // its last line says why
  process.exit(1);
}
