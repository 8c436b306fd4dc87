import type { ControllerService } from '#controller/service.ts';
import type { ShownVmSettings } from '#controller/vm-settings.ts';
import { VmCheckSchema, VmSchema } from '#wire/api.ts';
import { HostIdSchema, strict } from '#wire/resources.ts';
import { VmSettingsBodySchema, type VmSettingsResource, VmSettingsSchema } from '#wire/vm-settings-api.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { answers, askedBy, AskerHeadersSchema, NoQuerySchema, VmPathSchema } from './route-schemas.ts';

/** Every host is asked, and a host that does not answer is waited for. */
const checkMsMax = 60_000;

const CheckQuerySchema = Type.Object({ to: Type.Optional(HostIdSchema) }, strict);

/** `/v1/vms`. */
export function addVmRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/vms',
    { schema: { summary: 'All VMs', querystring: NoQuerySchema, response: answers({ 200: Type.Array(VmSchema) }) } },
    async () => [...(await service.vms())],
  );
  server.get(
    '/v1/vms/:ref',
    {
      schema: {
        summary: 'One VM, by name or UUID',
        params: VmPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: VmSchema }),
      },
    },
    (request) => service.vm(request.params.ref),
  );
  server.get(
    '/v1/vms/:ref/check',
    {
      handlerTimeout: checkMsMax,
      schema: {
        summary: 'Why this VM can or cannot go to a host; without `to`, for every other host',
        params: VmPathSchema,
        querystring: CheckQuerySchema,
        response: answers({ 200: VmCheckSchema }),
      },
    },
    (request) => service.checkVm(request.params.ref, request.query.to ?? null),
  );
  addSettingsRoutes(server, service);
}

function addSettingsRoutes(server: ApiServer, service: ControllerService): void {
  server.get(
    '/v1/vms/:ref/settings',
    {
      schema: {
        summary: 'What operators want for this VM',
        params: VmPathSchema,
        querystring: NoQuerySchema,
        response: answers({ 200: VmSettingsSchema }),
      },
    },
    async (request) => shown(await service.vmSettings(request.params.ref)),
  );
  server.put(
    '/v1/vms/:ref/settings',
    {
      schema: {
        summary: 'Changes them; what is left out stays as it is',
        headers: AskerHeadersSchema,
        params: VmPathSchema,
        body: VmSettingsBodySchema,
        response: answers({ 200: VmSettingsSchema }),
      },
    },
    async (request) => shown(await service.setVm(request.params.ref, request.body, askedBy(request.headers))),
  );
}

/** The definition that is kept with them has passwords in it, and stays where it is. */
function shown({ vmId, address, restartable, slaClass, effectiveClass, tenant, labels, updatedAtMs }: ShownVmSettings): VmSettingsResource {
  return { vmId, address, restartable, slaClass, effectiveClass, tenant, labels, updatedAtMs: updatedAtMs === 0 ? null : updatedAtMs };
}
