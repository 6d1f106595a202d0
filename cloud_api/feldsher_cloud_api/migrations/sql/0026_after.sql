-- Indexes of what is asked all the time: tasks of gateways that are due, whether begun or not, and a device's gateways.

DROP INDEX cloud.gateway_task_due;
CREATE INDEX gateway_task_due ON cloud.gateway_task (due_at) WHERE state IN ('waiting', 'working');
CREATE INDEX gateway_device_device ON cloud.gateway_device (device);
