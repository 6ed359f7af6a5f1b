import { readFileSync } from "node:fs";
import { defineConfig } from "vite";

const licence = readFileSync(new URL("node_modules/three/LICENSE", import.meta.url), "utf8").trim();

// One script and one style sheet, which the Python package puts into its pages.
export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../src/factortopy/page/static",
    emptyOutDir: false,
    cssCodeSplit: false,
    target: "es2022",
    lib: {
      entry: "src/main.ts",
      formats: ["iife"],
      name: "factortopyViewer",
      fileName: () => "viewer.js",
      cssFileName: "viewer",
    },
    rollupOptions: { output: { postBanner: `/*! With three.js:\n${licence}\n*/` } },
  },
});
