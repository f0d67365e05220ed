"""Names of Celery, kombu, billiard, redis-py and Python that are not public API, and that we use. Data only.

tests/unit/worker/test_internals.py fails by name when one of them is gone, and when one is used and not listed here.
pyproject.toml pins the libraries to the minor versions for which it passes. Before a pin is raised, compare the code of
each name in the old and the new version: the test finds what was removed or renamed, not what works differently.
"""

from typing import Final

INTERNALS: Final = {
    # batching/consumer.py
    "celery.worker.consumer:Consumer": (
        "on_decode_error on_unknown_message on_invalid_task start on_ready connection on_close stop shutdown "
        "on_send_event_buffered on_unknown_task create_task_handler _flush_events "
        "on_connection_error_after_connected on_connection_error_before_connected strategies call_soon_ack "
        "on_task_message blueprint steps hub pool controller qos timer connect connection_for_read amqheartbeat"
    ),
    "celery.worker.consumer.events:Events": "event_dispatcher",
    "celery.worker.consumer.mingle:Mingle": "send_hello",
    "celery.backends.redis:RedisBackend": (
        "_create_client connparams client expires failure_expires chord_expires _chord_result_expires _chord_zset "
        "_chord_part_return_script _unpack_chord_result"
    ),
    "celery.concurrency.prefork:TaskPool": "_pool num_processes",
    "celery.concurrency.asynpool:AsynPool": "_event_process_exit _sentinel_poll",
    "billiard.process:BaseProcess": "exitcode",
    "kombu.connection:Connection": "_default_channel default_channel",
    # batching/dispatcher.py, observability/collectors.py
    "billiard.pool:ApplyResult": "_write_to _accepted _job _cache",
    "billiard.pool:Pool": "_pool",
    # batching/request.py, batching/redacted_request.py, batching/refusal.py, batching/unregistered.py
    "celery.worker.request:Request": (
        "name info humaninfo maybe_expire _type _root_id _parent_id _delivery_info revoked _announce_revoked "
        "send_event on_accepted terminate acknowledge reject _argsrepr _kwargsrepr _request_dict _context "
        "_message _on_ack _on_reject _eventer _terminate_on_ack _already_revoked _already_cancelled time_start "
        "worker_pid store_errors tzlocal"
    ),
    # __main__.py
    "celery.bin.base": "CLIContext",
    "celery.bin.worker": "worker",
    # group.py
    "atexit": "_run_exitfuncs",
    # remote_control.py
    "celery.worker.control": "_revoke control_command inspect_command",
    "celery.worker.state": (
        "requests active_requests total_count all_total_count task_ready task_reserved revoked should_terminate"
    ),
    "kombu.message:Message": "_state _decoded_cache",
    "kombu.transport.virtual:Message": "_raw",
    # batching/strategy.py
    "celery.app.task:Task": "Request Strategy",
    "celery.worker.strategy": "hybrid_to_proto2 proto1_to_proto2",
    # batching/events.py
    "celery.events.dispatcher:EventDispatcher": (
        "send flush _publish extend_buffer enabled groups _group_buffer _outbound_buffer buffer_group buffer_limit "
        "on_send_buffered"
    ),
    "celery.app.events:Events": "dispatcher_cls",
    # delivery/results.py, delivery/followers.py, delivery/chords.py
    "celery.backends.base:Backend": (
        "encode encode_result decode store_result get_state on_chord_part_return mark_as_failure chord_error_from_stack"
    ),
    "celery.backends.base:KeyValueStoreBackend": "get_key_for_task get_key_for_group",
    # delivery/channel.py, delivery/qos.py
    "kombu.transport": "TRANSPORT_ALIASES _transport_cache",
    "kombu.transport.redis": "_socket_readable",
    "kombu.transport.redis:Transport": "Channel cycle brpop_timeout default_port",
    "kombu.transport.redis:SentinelChannel": "_get_pool",
    "kombu.transport.redis:MultiChannelPoller": (
        "on_poll_start on_readable _channels _client_registered _register _fd_to_chan"
    ),
    "kombu.transport.redis:Channel": (
        "QoS _create_client _put _put_fanout _get_publish_topics _expires _get_message_priority basic_consume "
        "basic_get _basic_cancel _brpop_start _brpop_read _poll_error close _in_poll _brpop_sent_at _qos _queue_cycle "
        "_q_for_pri _flush_brpop_reauth "
        "Message priority_steps active_queues handlers pool conn_or_acquire brpop_timeout sep connection_errors"
    ),
    "kombu.transport.redis:QoS": (
        "can_consume append ack reject restore_unacked_once _delivered _on_collect prefetch_count channel"
    ),
    "kombu.transport.virtual:Transport": "_callbacks",
    # delivery/channel.py, delivery/scripts, hanner/transport/subscription.py
    "redis.connection:AbstractConnection": "_sock send_packed_command pack_commands send_command disconnect",
    "redis.client:Redis": "connection parse_response",
    "redis.commands.core:Script": "script sha __call__",
    # hanner_inference/engine/onnx.py
    "onnxruntime.capi.onnxruntime_inference_collection:InferenceSession": "_model_bytes",
}
"""By module or module:class: the names, of methods, attributes and functions, separated by spaces."""
