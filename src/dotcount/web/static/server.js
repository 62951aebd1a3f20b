// Counting by the server that sent this page.

import { getBytes, getFile, getJson, sendFile, sendJson } from "./api.js";
import { start } from "./count.js";

class Server {
  place = "Photos go to the computer that runs this page and no farther; they are deleted when it stops.";

  async info() {
    const info = await getJson("/api/info");
    this.limits = info.limits;
    return info;
  }

  async count(photo, tell) {
    const most = this.limits?.bytes ?? Infinity;
    if (photo.file.size > most) throw new Error(`It is larger than ${Math.round(most / 1e6)} MB; cut it into tiles.`);
    tell("sending…");
    photo.id ??= (await sendFile(`/api/images?name=${encodeURIComponent(photo.name)}`, photo.file)).id;
    tell("counting…");
    return sendJson("POST", `${base(photo)}/count`, {});
  }

  show(viewer, photo) {
    const { width, height, tile, levels } = photo.result;
    const url = (level, column, row) => `${base(photo)}/tiles/${level}/${column}/${row}`;
    viewer.setTiles({ width, height, tile, levels, url });
  }

  async points(photo) {
    return new Float32Array(await getBytes(`${base(photo)}/points`));
  }

  async density(photo) {
    return new Float32Array(await getBytes(`${base(photo)}/density`));
  }

  async regions(photo, regions) {
    return (await sendJson("POST", `${base(photo)}/regions`, { regions })).regions;
  }

  async sum(photos) {
    return sendJson("POST", "/api/sum", { images: photos.map((photo) => photo.id) });
  }

  async results(photos, output) {
    const { blob, name } = await getFile("/api/results", { images: photos.map((photo) => photo.id), write: [output] });
    return { blob, name: !name || name === "results.zip" ? `${output}.zip` : name };
  }

  remove(photo) {
    if (photo.id) fetch(base(photo), { method: "DELETE" }).catch(() => {});
  }
}

function base(photo) {
  return `/api/images/${photo.id}`;
}

start(new Server());
